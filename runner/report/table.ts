/** Plain-text tables. */

export interface TableOptions {
  /** One letter a column, `l` or `r`; columns beyond it repeat its last letter. Default: first left, the rest right. */
  align?: string;
  /** Draw a rule under the first row. Default true. */
  header?: boolean;
}

/**
 * Rows of cells as lines with columns two spaces apart, no trailing blanks and no final newline. A row may have fewer cells
 * than the widest; an empty row becomes a rule.
 */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string {
  const { align = 'lr', header = true } = options;
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) => Math.max(...rows.map((row) => width(row[c] ?? ''))));
  const rule = '─'.repeat(widths.reduce((a, b) => a + b, 0) + 2 * Math.max(0, columns - 1));
  const lines = rows.map((row) => {
    if (row.length === 0) return rule;
    const cells = row.map((cell, c) => {
      const blanks = ' '.repeat(widths[c] - width(cell));
      return (align[c] ?? align.at(-1)) === 'r' ? blanks + cell : cell + blanks;
    });
    return cells.join('  ').trimEnd();
  });
  if (header && lines.length > 1) lines.splice(1, 0, rule);
  return lines.join('\n');
}

/** Characters on the screen, counting an accented letter once. */
function width(text: string): number {
  return Array.from(text.normalize('NFC')).length;
}
