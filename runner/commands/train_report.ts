import type { Device } from '../../engine/device.ts';
import { bytes, count } from '../report/format.ts';
import type { TrainConfig } from '../train/config.ts';
import { type ProgressView, plainLine, progressLine } from '../train/log.ts';
import type { LoopTimes } from '../train/loop.ts';
import { RUN_FILES, type RunStore } from '../train/run_store.ts';
import type { TrainingEvents, TrainingResult } from '../train/run_training.ts';

/** Seconds between two lines where nobody watches. */
const PLAIN_SECONDS = 30;
/** Milliseconds between two repaints where somebody does. */
const PAINT_MS = 200;
/** Lines of log.jsonl written at once. */
const LOG_LINES = 50;

/** What people and log files see of a run: one progress line on stderr, log.jsonl, status.json. */
export class TrainingReport {
  private readonly config: TrainConfig;
  private readonly store: RunStore;
  private readonly device: Device;
  private readonly visible: boolean;
  private readonly tty: boolean;
  private lines: string[] = [];
  private writing: Promise<void> = Promise.resolve();
  private view: ProgressView | undefined;
  private paintedAt = 0;
  private printedAt = performance.now();
  private printedShare = 0;
  private began = 0;
  private first = 0;
  private dice: number | null = null;

  constructor(run: {
    config: TrainConfig;
    store: RunStore;
    device: Device;
    options: { quiet?: boolean; json?: boolean };
  }) {
    this.config = run.config;
    this.store = run.store;
    this.device = run.device;
    this.visible = !run.options.quiet;
    this.tty = Boolean(process.stderr.isTTY) && !run.options.json;
  }

  events(): Omit<TrainingEvents, 'shouldStop'> {
    return {
      onReady: ({ trainer, from, validation }) => {
        this.began = performance.now();
        this.first = from;
        const { parameters, inputs, step } = trainer.memory;
        this.say(
          `${from > 0 ? `continuing after step ${from}: ` : ''}${count(this.config.steps)} steps of ${this.config.batch} patches ` +
            `${this.config.patch.join('x')}, ${count(trainer.commands)} commands a step, GPU ${bytes(parameters + inputs + step)} ` +
            `(parameters ${bytes(parameters)}, inputs ${bytes(inputs)}, step ${bytes(step)})` +
            `${validation === 0 ? '; no validation cases: the last weights will be the model' : ''}`,
        );
      },
      onStep: (step, losses, times) => this.step(step, losses, times),
      onValidation: (step, dice, best) => {
        this.dice = dice;
        this.log({ kind: 'validation', step, dice, best });
      },
      onCheckpoint: (step) => this.log({ kind: 'checkpoint', step }),
    };
  }

  async finish(result: TrainingResult): Promise<void> {
    if (this.tty && this.visible && this.view) process.stderr.write(`\r${progressLine(this.view)}\u001b[K\n`);
    await this.flush(result.step);
  }

  private step(step: number, losses: Readonly<Record<string, number>>, times: Readonly<LoopTimes>): void {
    this.log({ kind: 'step', step: step + 1, ...losses });
    const now = performance.now();
    this.view = {
      step: step + 1,
      steps: this.config.steps,
      stepMs: (now - this.began) / Math.max(1, step + 1 - this.first),
      hostMs: times.host / Math.max(1, times.steps),
      losses,
      dice: this.dice,
      gpuBytes: this.device.bytesHeld,
      stage: this.config.method,
    };
    if (!this.visible) return;
    if (this.tty) {
      if (now - this.paintedAt < PAINT_MS) return;
      this.paintedAt = now;
      process.stderr.write(`\r${progressLine(this.view)}\u001b[K`);
      return;
    }
    const share = (step + 1) / this.config.steps;
    if (now - this.printedAt < PLAIN_SECONDS * 1000 && share - this.printedShare < 0.1) return;
    this.printedAt = now;
    this.printedShare = share;
    process.stderr.write(`${plainLine(this.view, new Date())}\n`);
  }

  private say(sentence: string): void {
    if (this.visible) process.stderr.write(`${sentence}\n`);
  }

  private log(record: Record<string, unknown>): void {
    this.lines.push(JSON.stringify(record));
    if (this.lines.length >= LOG_LINES || record.kind !== 'step') this.flush(this.view?.step ?? this.first);
  }

  /** Lines go out in order, while the training goes on; a failure is thrown by finish(). */
  private flush(step: number): Promise<void> {
    const text = this.lines.map((line) => `${line}\n`).join('');
    this.lines = [];
    const status = { step, steps: this.config.steps, dice: this.dice, updated: new Date().toISOString() };
    this.writing = this.writing.then(async () => {
      if (text) await this.store.append(RUN_FILES.log, text);
      await this.store.write(RUN_FILES.status, `${JSON.stringify(status)}\n`);
    });
    this.writing.catch(() => undefined);
    return this.writing;
  }
}
