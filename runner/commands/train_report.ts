import type { Device } from '../../engine/device.ts';
import { bytes, count } from '../report/format.ts';
import { CollapseWatch } from '../train/collapse.ts';
import type { TrainConfig } from '../train/config.ts';
import { type ProgressView, patchesOf, plainLine, progressLine, skippedNote } from '../train/log.ts';
import type { LoopTimes } from '../train/loop.ts';
import { PlateauWatch } from '../train/plateau.ts';
import { RUN_FILES, type RunStore } from '../train/run_store.ts';
import type { StageStart, TrainingEvents } from '../train/run_training.ts';

/** Seconds between two lines where nobody watches. */
const PLAIN_SECONDS = 30;
const PREPARED_SECONDS = 10;
/** Milliseconds between two repaints where somebody does. */
const PAINT_MS = 200;
/** Arrivals of steps that the rate is taken over. */
const LATELY = 21;
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
  /** When the latest steps arrived. */
  private readonly arrivals: number[] = [];
  private first = 0;
  private stage = { name: '', offset: 0, steps: 0 };
  private watch = new CollapseWatch();
  private plateau = new PlateauWatch();
  private dice: number | null = null;
  private preparing = false;

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
      onCase: (ready, of) => this.prepared(ready, of, 'cases are read and prepared'),
      onVolume: (ready, of) => this.prepared(ready, of, 'unlabelled volumes have pseudo-labels'),
      onNoRoomForVolumes: ({ name }) => {
        this.endLine();
        this.say(
          `the GPU has no room for the volumes beside stage ${name}: the host cuts patches out of them (--vram says how much to take)`,
        );
      },
      onStage: (start) => this.enter(start),
      onStep: (step, losses, times) => this.step(step, losses, times),
      onValidation: (step, dice, best) => {
        this.dice = dice;
        this.log({ kind: 'validation', step, dice, best });
      },
      onReplay: (from, to) => {
        this.endLine();
        this.say(`a value became NaN or infinite: running steps ${from + 1} to ${to} again to find the first tensor`);
      },
      onCheckpoint: (step) => this.log({ kind: 'checkpoint', step }),
    };
  }

  /** Writes what is left. Errors: FitError and the like where a log could not be written. */
  async close(): Promise<void> {
    this.endLine();
    await this.flush();
  }

  /** Said where preparing takes long: otherwise nothing tells a large data set from a standstill. */
  private prepared(ready: number, of: number, what: string): void {
    const now = performance.now();
    if (now - this.printedAt < PREPARED_SECONDS * 1000 && !(this.preparing && ready === of)) return;
    this.printedAt = now;
    this.preparing = ready < of;
    this.say(`${count(ready)} of ${count(of)} ${what}`);
  }

  /** One line a stage: the line before stays, the next step begins another. */
  private enter({ stage, trainer, offset, from, validation }: StageStart): void {
    this.endLine();
    this.stage = { name: stage.name, offset, steps: stage.steps };
    this.arrivals.length = 0;
    this.view = undefined;
    this.printedShare = 0;
    this.first = from;
    this.watch = new CollapseWatch();
    this.plateau = new PlateauWatch();
    this.log({ kind: 'stage', stage: stage.name, step: from, time: new Date().toISOString() });
    const { parameters, volumes, inputs, step, total } = trainer.memory;
    const { patch, method } = this.config;
    const what = method === 'action' ? `stage ${stage.name} of ACTION` : method;
    this.say(
      `${from > 0 ? `continuing after step ${from}: ` : ''}${what}, ${count(stage.steps)} steps of ${patchesOf(this.config, stage.name)} ` +
        `${patch.join('x')}, ${count(trainer.commands)} commands a step, GPU ${bytes(total)} ` +
        `(parameters ${bytes(parameters)}, volumes ${bytes(volumes)}, inputs ${bytes(inputs)}, step ${bytes(step)})` +
        `${validation === 0 && stage.predicts ? '; no validation cases: the last weights will be the model' : ''}`,
    );
  }

  private step(step: number, losses: Readonly<Record<string, number>>, times: Readonly<LoopTimes>): void {
    const now = performance.now();
    if (this.arrivals.push(now) > LATELY) this.arrivals.shift();
    // Between two arrivals, so that compiling before the first does not count.
    const intervals = this.arrivals.length - 1;
    const { name, offset, steps } = this.stage;
    this.view = {
      step: step + 1 - offset,
      steps,
      stepMs: intervals > 0 ? (now - this.arrivals[0]) / intervals : null,
      hostMs: times.host / Math.max(1, times.steps),
      losses,
      dice: this.dice,
      gpuBytes: this.device.bytesHeld,
      stage: name,
    };
    const last = step + 1 - offset === steps;
    const confused = name === '1b' ? this.plateau.after(losses, last) : undefined;
    const skipped = last ? skippedNote(losses, steps) : undefined;
    for (const message of [this.watch.after(losses), confused, skipped]) {
      if (!message) continue;
      this.log({ kind: 'warning', step: step + 1, message });
      this.endLine();
      this.say(`stage ${name}, step ${step + 1 - offset}: ${message}`);
    }
    this.log({ kind: 'step', stage: name, step: step + 1, ...losses });
    if (!this.visible) return;
    if (this.tty) {
      if (now - this.paintedAt < PAINT_MS) return;
      this.paintedAt = now;
      process.stderr.write(`\r${progressLine(this.view)}\u001b[K`);
      return;
    }
    const share = this.view.step / steps;
    if (now - this.printedAt < PLAIN_SECONDS * 1000 && share - this.printedShare < 0.1) return;
    this.printedAt = now;
    this.printedShare = share;
    process.stderr.write(`${plainLine(this.view, new Date())}\n`);
  }

  private endLine(): void {
    if (this.tty && this.visible && this.view) process.stderr.write(`\r${progressLine(this.view)}\u001b[K\n`);
  }

  private say(sentence: string): void {
    if (this.visible) process.stderr.write(`${sentence}\n`);
  }

  private log(record: Record<string, unknown>): void {
    this.lines.push(JSON.stringify(record));
    if (this.lines.length >= LOG_LINES || record.kind !== 'step') this.flush();
  }

  /** Lines go out in order, while the training goes on; a failure is thrown by close(). */
  private flush(): Promise<void> {
    const step = this.view ? this.view.step + this.stage.offset : this.first;
    const text = this.lines.map((line) => `${line}\n`).join('');
    this.lines = [];
    const status = {
      stage: this.stage.name,
      step,
      steps: this.config.steps,
      dice: this.dice,
      updated: new Date().toISOString(),
    };
    this.writing = this.writing.then(async () => {
      if (text) await this.store.append(RUN_FILES.log, text);
      await this.store.write(RUN_FILES.status, `${JSON.stringify(status)}\n`);
    });
    this.writing.catch(() => undefined);
    return this.writing;
  }
}
