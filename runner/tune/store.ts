/** Where a host keeps the text of one adapter's tuning: a file, an entry of a browser's database. */
export interface TuningStore {
  /** How people call it, for messages. */
  readonly name: string;
  /** Undefined where there is nothing. */
  read(): Promise<string | undefined>;
  /** Replaces what is there by what `change` makes of it; nobody else writes in between. */
  update(change: (held: string | undefined) => string): Promise<void>;
  /** @returns whether there was anything */
  clear(): Promise<boolean>;
}
