import type { AdapterReport } from '../host/node.ts';
import { bytes } from '../report/format.ts';
import type { DoctorReport } from './doctor.ts';

const LITTLE_DISK = 2 ** 30;

/** The report as lines for people. */
export function doctorText(report: DoctorReport): string[] {
  return [
    ...machineLines(report),
    ...report.adapters.flatMap(adapterLines),
    ...report.refusals.flatMap(({ source, reason, fixes }) => [
      row('none', `${source}: ${reason}`),
      ...fixes.map((fix) => row('', `-> ${fix}`)),
    ]),
    ...useLines(report),
    ...tuningLines(report),
    ...selfTestLines(report),
    ...hostLines(report),
  ];
}

function row(head: string, text: string): string {
  return `${head.padEnd(9)} ${text}`.trimEnd();
}

function machineLines({ node, action3d, webgpu }: DoctorReport): string[] {
  const fit = node.supported ? 'ok' : 'too old: install Node 20 or newer';
  return [
    `node ${node.version} (${node.platform}) ${fit} · action3d ${action3d ?? '?'} · webgpu ${webgpu ?? 'not installed'}`,
  ];
}

function adapterLines({
  index,
  name,
  backend,
  software,
  driver,
  features,
  subgroupSize,
  limits,
}: AdapterReport): string[] {
  const has = (feature: string) => (features.includes(feature) ? 'yes' : 'no');
  const subgroups = subgroupSize ? `yes (${subgroupSize[0]} to ${subgroupSize[1]} wide)` : 'no';
  return [
    row(`GPU ${index}`, `${name} (${backend}${software ? ', software' : ''}) · ${driver || 'driver unknown'}`),
    row(
      '',
      `shader-f16 ${has('shader-f16')} · subgroups ${subgroups} · subgroup matrix ${has('chromium-experimental-subgroup-matrix')} · timestamps ${has('timestamp-query')}`,
    ),
    row(
      '',
      `storage binding ${bytes(limits.maxStorageBufferBindingSize)} · buffer ${bytes(limits.maxBufferSize)} · ${limits.maxStorageBuffersPerShaderStage} storage buffers a shader · workgroup ${limits.maxComputeInvocationsPerWorkgroup} threads, ${bytes(limits.maxComputeWorkgroupStorageSize)}`,
    ),
  ];
}

function useLines({ uses, problem, refusals }: DoctorReport): string[] {
  const lines = uses ? [row('uses', `${uses.index < 0 ? '' : `GPU ${uses.index}: `}${uses.name}; ${uses.why}`)] : [];
  if (!problem) return lines;
  // The refusals above are a missing adapter's hints already.
  const hints = refusals.length > 0 && !uses ? [] : problem.hints.map((hint) => row('', `-> ${hint.trim()}`));
  return [...lines, row(uses ? 'problem' : 'uses', `${uses ? '' : 'nothing. '}${problem.message}`), ...hints];
}

function tuningLines({ uses, tuning }: DoctorReport): string[] {
  if (!uses) return [];
  if (!tuning) return [row('tuned', 'no: action3d tune finds the fastest kernels for a network')];
  const { problems, faster, file } = tuning;
  return [row('tuned', `for ${problems} shapes of convolutions, ${faster} of them by other ways than usual (${file})`)];
}

function selfTestLines({ selfTest }: DoctorReport): string[] {
  return (selfTest ?? []).map(({ name, maxError, ok }, i) =>
    row(i === 0 ? 'self test' : '', `${name}  largest error ${maxError.toExponential(1)}  ${ok ? 'ok' : 'WRONG'}`),
  );
}

function hostLines({ disk, optional, notes }: DoctorReport): string[] {
  const free = disk && `${bytes(disk.freeBytes)} free at ${disk.path}`;
  const little = disk && disk.freeBytes < LITTLE_DISK ? ': too little for a run; free some or choose another -o' : '';
  return [
    row('disk', free ? `${free}${little}` : 'the free space cannot be read'),
    ...optional.map(({ name, install, version, purpose }, i) =>
      row(i === 0 ? 'optional' : '', `${name} ${version ?? `not installed: npm install ${install}`} (${purpose})`),
    ),
    ...notes.map((note) => row('note', note)),
  ];
}
