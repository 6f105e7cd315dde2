import { Device } from '../../engine/device.ts';
import { type Clock, createClock, effortFor } from '../bench/clock.ts';
import { measurePeaks, type Peaks } from '../bench/peaks.ts';
import { type OpenedGpu, openGpu } from '../host/node.ts';
import { type StatusLine, statusLine } from '../host/terminal.ts';
import type { BenchOptions } from './bench.ts';
import { type Place, placeOf } from './bench_place.ts';

/** What every subject has at hand. */
export interface BenchSession {
  readonly opened: OpenedGpu;
  readonly device: Device;
  readonly clock: Clock;
  readonly place: Place;
  readonly status: StatusLine;
  /** Measures what the adapter does at best, in this process. */
  peaks(): Promise<Peaks>;
}

/** Opens the adapter as training does, and gives it back after `body`. */
export async function benchSession<T>(options: BenchOptions, body: (session: BenchSession) => Promise<T>): Promise<T> {
  const opened = await openGpu({ gpu: options.gpu, unsafe: true });
  if (!options.quiet) for (const note of opened.notes) process.stderr.write(`${note}\n`);
  const device = new Device(opened.device, opened);
  const clock = createClock(device);
  const status = statusLine(!options.quiet && !options.json);
  try {
    return await body({
      ...{ opened, device, clock, status, place: placeOf(opened) },
      peaks() {
        status.show('measuring the peaks');
        return measurePeaks(device, clock, effortFor(opened.software));
      },
    });
  } finally {
    status.clear();
    clock.destroy();
    device.destroy();
    opened.close();
  }
}
