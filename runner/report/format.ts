/** Numbers as people read them. Nothing here depends on a locale, so that output can be compared. */

/** A number with `digits` decimals; a dash where there is none. */
export function fixed(value: number | null, digits = 3): string {
  return value === null || Number.isNaN(value) ? '-' : value.toFixed(digits);
}

/** An integer in groups of three: 18 420. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** A share of one as a percentage: 0.5 is `50 %`. */
export function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)} %`;
}

/** Bytes with three significant digits in binary units: `5.10 GiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let size = value;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : significant(size, 3)} ${units[unit]}`;
}

/** Seconds with the two largest units that matter: `41 ms`, `9.3 s`, `7 m 55 s`, `2 h 05 m`, `3 d 04 h`. */
export function duration(seconds: number): string {
  if (seconds < 0.9995) return `${significant(seconds * 1000, 2)} ms`;
  if (seconds < 59.95) return `${significant(seconds, 2)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return pair(whole, 60, 'm', 's');
  if (whole < 86400) return pair(Math.round(whole / 60), 60, 'h', 'm');
  return pair(Math.round(whole / 3600), 24, 'd', 'h');
}

/** At least `digits` significant digits, never rounding away whole ones and never in powers of ten. */
export function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  const whole = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits))))) + 1;
  return value.toFixed(Math.min(20, Math.max(0, digits - whole)));
}

function pair(value: number, base: number, large: string, small: string): string {
  return `${Math.floor(value / base)} ${large} ${String(value % base).padStart(2, '0')} ${small}`;
}
