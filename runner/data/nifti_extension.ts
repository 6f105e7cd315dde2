/**
 * Label names inside a NIfTI file, as a header extension: code 6 (plain text) with JSON such as
 * `{"labels":{"0":"background","1":"anterior"}}`.
 */

const COMMENT = 6;

export type LabelNames = Readonly<Record<number, string>>;

/** The extension's bytes, padded to a multiple of 16 as the standard asks; little-endian. */
export function encodeLabelNames(names: LabelNames): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify({ labels: names }));
  const out = new Uint8Array(Math.ceil((text.length + 8) / 16) * 16);
  const view = new DataView(out.buffer);
  view.setInt32(0, out.length, true);
  view.setInt32(4, COMMENT, true);
  out.set(text, 8);
  return out;
}

/** Label names among the extensions in `bytes` (what lies between header and voxels), if there are any. */
export function decodeLabelNames(bytes: Uint8Array, littleEndian: boolean): LabelNames | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + 8 <= bytes.length) {
    const size = view.getInt32(at, littleEndian);
    if (size < 8 || at + size > bytes.length) return undefined;
    if (view.getInt32(at + 4, littleEndian) === COMMENT) {
      const names = parseNames(new TextDecoder().decode(bytes.subarray(at + 8, at + size)));
      if (names) return names;
    }
    at += size;
  }
  return undefined;
}

function parseNames(text: string): LabelNames | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/\0+$/, ''));
  } catch {
    return undefined;
  }
  const labels = (value as { labels?: unknown } | null)?.labels;
  if (typeof labels !== 'object' || labels === null) return undefined;
  const entries = Object.entries(labels);
  const valid = entries.every(([key, name]) => /^\d+$/.test(key) && typeof name === 'string');
  return valid ? Object.fromEntries(entries) : undefined;
}
