import type { Scored } from './jobs.ts';
import { type JobRecord, type Seconds, writeRecord } from './record.ts';

export const NOTHING: Seconds = { wall: 0, cpu: 0 };

/** Keeps the record of a job, with the time of each part added however that part ends; what a killed process spent is lost. */
export class Clock {
  private record: JobRecord;
  private readonly folder: string;

  constructor(folder: string, record: JobRecord) {
    this.folder = folder;
    this.record = record;
  }

  training(adapter: string, part: () => Promise<number>): Promise<number> {
    return this.timed(part, (spent) => {
      const { adapter: before, training } = this.record;
      const adapters = new Set([...before.split('; '), adapter].filter(Boolean));
      return { training: sum(training, spent), adapter: [...adapters].join('; ') };
    });
  }

  prediction(name: Scored['name'], part: () => Promise<number>): Promise<number> {
    return this.timed(part, (spent) => {
      const { prediction } = this.record;
      return { prediction: { ...prediction, [name]: sum(prediction[name] ?? NOTHING, spent) } };
    });
  }

  private async timed<T>(part: () => Promise<T>, entry: (spent: Seconds) => Partial<JobRecord>): Promise<T> {
    const [wall, cpu] = [performance.now(), cpuSeconds()];
    await writeRecord(this.folder, this.record);
    try {
      return await part();
    } finally {
      const spent = { wall: (performance.now() - wall) / 1000, cpu: cpuSeconds() - cpu };
      this.record = { ...this.record, ...entry(spent), date: new Date().toISOString().slice(0, 10) };
      await writeRecord(this.folder, this.record);
    }
  }
}

function sum(a: Seconds, b: Seconds): Seconds {
  return { wall: a.wall + b.wall, cpu: a.cpu + b.cpu };
}

/** Of all threads of this process, which a software adapter's are. */
function cpuSeconds(): number {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  return (userCPUTime + systemCPUTime) / 1e6;
}
