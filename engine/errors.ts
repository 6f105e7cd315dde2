/**
 * Every failure a user can meet, as a type. The message is one sentence that names the thing, shows both values and
 * gives the next step; `exitCode` is what the command line returns for it.
 */
export class ActionError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.exitCode = exitCode;
  }
}

/** Wrong flags, options or configuration: exit 2. */
export class UsageError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 2, options);
  }
}

/** No usable adapter, or not the one asked for: exit 3. `hints` are the ways out, most likely first. */
export class NoGpuError extends ActionError {
  readonly hints: string[];

  constructor(message: string, hints: string[] = [], options?: ErrorOptions) {
    super(message, 3, options);
    this.hints = hints;
  }
}

/** A file or data set that cannot be used as it is: exit 4. */
export class DataError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 4, options);
  }
}

/** Does not fit: GPU memory, a device limit, or the disk: exit 5. */
export class FitError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 5, options);
  }
}

/** The GPU has no memory left for a buffer. */
export class GpuMemoryError extends FitError {}

/** NaN, infinity or divergence: exit 6. The last good checkpoint is kept. */
export class NumericError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 6, options);
  }
}

/** The device was lost while work was in flight: exit 7. */
export class DeviceLostError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 7, options);
  }
}

/** A check the user asked for did not pass (self-test, `--min-dice`, `--max-regress`): exit 8. */
export class CheckError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 8, options);
  }
}

/** Two shapes that should agree: a programming error inside the caller's model, exit 2. */
export class ShapeError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 2, options);
  }
}

/** A kernel that does not compile or a command that WebGPU refuses: a bug, exit 1. */
export class GpuValidationError extends ActionError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, 1, options);
  }
}
