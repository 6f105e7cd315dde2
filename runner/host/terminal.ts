export interface StatusLine {
  /** Replaces what the line shows. */
  show(text: string): void;
  clear(): void;
}

/** One line at the foot of stderr that is written over again and again; nothing where stderr is no terminal. */
export function statusLine(enabled: boolean): StatusLine {
  const write = (text: string) => {
    if (enabled && process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  };
  return { show: (text) => write(text.slice(0, (process.stderr.columns ?? 80) - 1)), clear: () => write('') };
}
