/** What a roomy GPU allows, for devices that allocate and run nothing (dryGpu). */
export const LIMITS = {
  maxBufferSize: 2 ** 32,
  maxStorageBufferBindingSize: 2 ** 32,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 49152,
  minUniformBufferOffsetAlignment: 256,
} as GPUSupportedLimits;
