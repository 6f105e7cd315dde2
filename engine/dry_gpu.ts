/** What Device and Program ask of a GPUDevice. */
const NOTHING = () => undefined;

const PASS = { setPipeline: NOTHING, setBindGroup: NOTHING, dispatchWorkgroups: NOTHING, end: NOTHING };
const ENCODER = {
  beginComputePass: () => PASS,
  copyBufferToBuffer: NOTHING,
  clearBuffer: NOTHING,
  finish: NOTHING,
};

/**
 * A GPUDevice that allocates and runs nothing. What is built on a Device of it counts its bytes in `bytesHeld` and meets
 * the given limits exactly as it would on the adapter they come from: memory is predicted by the code that takes it.
 */
export function dryGpu(limits: GPUSupportedLimits): GPUDevice {
  const dry = {
    limits,
    lost: new Promise<never>(NOTHING),
    queue: { writeBuffer: NOTHING, submit: NOTHING },
    addEventListener: NOTHING,
    removeEventListener: NOTHING,
    pushErrorScope: NOTHING,
    popErrorScope: async () => null,
    createBuffer: (descriptor: GPUBufferDescriptor) => ({ ...descriptor, destroy: NOTHING }),
    createCommandEncoder: () => ENCODER,
    createBindGroupLayout: NOTHING,
    createPipelineLayout: NOTHING,
    createBindGroup: NOTHING,
    createShaderModule: () => ({ getCompilationInfo: async () => ({ messages: [] }) }),
    createComputePipelineAsync: async () => ({ getBindGroupLayout: NOTHING }),
  };
  return dry as unknown as GPUDevice;
}
