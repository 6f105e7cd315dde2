export interface StatusLine {
  /** Replaces what the line shows. */
  show(text: string): void;
  /** A result: shown like the rest on a terminal, and a line that stays where stderr is a file, in case the end is never reached. */
  tell(text: string): void;
  clear(): void;
}

/** One line at the foot of stderr that is written over again and again; nothing but what is told where stderr is no terminal. */
export function statusLine(enabled: boolean): StatusLine {
  const { stderr } = process;
  const write = (text: string) => {
    if (enabled && stderr.isTTY) stderr.write(`\r\u001b[K${text}`);
  };
  const show = (text: string) => write(text.slice(0, (stderr.columns ?? 80) - 1));
  return {
    show,
    tell: (text) => {
      if (enabled && !stderr.isTTY) stderr.write(`${text}\n`);
      else show(text);
    },
    clear: () => write(''),
  };
}
