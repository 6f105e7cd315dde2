import type { Device } from '../../engine/device.ts';
import { Recording } from '../../engine/recording.ts';
import type { Way } from '../../engine/ways.ts';
import { crc32 } from '../data/crc32.ts';
import { type ProblemData, problemOf } from './problem_data.ts';

/** Checksum of all shaders that a way takes for a problem, eight hexadecimal digits. `dry` allocates nothing. */
export function shaderHash(dry: Device, way: Way<unknown>, data: ProblemData): string {
  const rec = new Recording(dry, way.name);
  const problem = problemOf(data, (shape, label, options) => dry.tensor(shape, label, options));
  way.record(rec, problem);
  rec.batches.settle();
  const codes = rec.commands.flatMap((command) => (command.kind === 'dispatch' ? [command.kernel.code] : []));
  return textHash([...new Set(codes)].join('\n'));
}

/** Eight hexadecimal digits that change with the text. */
export function textHash(text: string): string {
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(8, '0');
}
