import type { Stream } from '../../engine/random.ts';

export type Point = readonly [number, number, number];

/**
 * A star-shaped body: an ellipsoid whose radius is modulated by the real spherical harmonics of degree 2 and 3, turned
 * by a rotation. Coordinates are (x, y, z) in millimetres.
 */
export interface Blob {
  readonly centre: Point;
  readonly radii: Point;
  /** 3x3, row-major, world to body. */
  readonly rotation: readonly number[];
  /** Relative radius change for each of the 12 harmonics. */
  readonly harmonics: readonly number[];
}

/** The product of the rotations about z, y and x, row-major; angles in radians. */
export function rotation(ax: number, ay: number, az: number): number[] {
  const [cx, sx, cy, sy, cz, sz] = [ax, ay, az].flatMap((a) => [Math.cos(a), Math.sin(a)]);
  return [
    cz * cy,
    cz * sy * sx - sz * cx,
    cz * sy * cx + sz * sx,
    sz * cy,
    sz * sy * sx + cz * cx,
    sz * sy * cx - cz * sx,
    -sy,
    cy * sx,
    cy * cx,
  ];
}

/** A random blob: `jitter` moves the centre (mm, one sd), `stretch` scales radii, `roughness` is the sd of the harmonics. */
export function randomBlob(
  stream: Stream,
  centre: Point,
  radii: Point,
  {
    jitter = 0,
    stretch = 0,
    roughness = 0,
    tilt = 0,
  }: { jitter?: number; stretch?: number; roughness?: number; tilt?: number },
): Blob {
  const spread = (value: number, sd: number) => value + sd * Math.max(-2, Math.min(2, stream.normal()));
  const common = spread(1, stretch);
  return {
    centre: [spread(centre[0], jitter), spread(centre[1], jitter), spread(centre[2], jitter)],
    radii: [
      radii[0] * common * spread(1, stretch),
      radii[1] * common * spread(1, stretch),
      radii[2] * common * spread(1, stretch),
    ],
    rotation: rotation(spread(0, tilt), spread(0, tilt), spread(0, tilt)),
    harmonics: Array.from({ length: 12 }, (_, i) => spread(0, i < 5 ? roughness : roughness * 0.7)),
  };
}

/** Millimetres from (x, y, z) outward along the ray from the centre to the surface: positive inside, negative outside. */
export function depth({ centre, radii, rotation: r, harmonics: h }: Blob, x: number, y: number, z: number): number {
  const dx = x - centre[0];
  const dy = y - centre[1];
  const dz = z - centre[2];
  const distance = Math.sqrt(dx * dx + dy * dy + dz * dz);
  if (distance < 1e-9) return Math.min(radii[0], radii[1], radii[2]);
  const u = (r[0] * dx + r[1] * dy + r[2] * dz) / distance;
  const v = (r[3] * dx + r[4] * dy + r[5] * dz) / distance;
  const w = (r[6] * dx + r[7] * dy + r[8] * dz) / distance;
  const ellipsoid = 1 / Math.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2);
  const uu = u * u;
  const vv = v * v;
  const ww = 5 * w * w;
  const second = h[0] * u * v + h[1] * v * w + h[2] * u * w + h[3] * (uu - vv) + h[4] * (0.6 * ww - 1);
  const third =
    h[5] * 4 * u * v * w +
    h[6] * 2 * w * (uu - vv) +
    h[7] * u * (uu - 3 * vv) +
    h[8] * v * (3 * uu - vv) +
    h[9] * u * (ww - 1) +
    h[10] * v * (ww - 1) +
    h[11] * w * (ww - 3);
  return ellipsoid * Math.max(0.3, 1 + second + third) - distance;
}

/** A curved tube along z. */
export interface Tube {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** Sideways swing (mm), its wavelength (mm) and phase. */
  readonly swing: number;
  readonly wavelength: number;
  readonly phase: number;
}

/** As `depth`, for a tube. */
export function tubeDepth(tube: Tube, x: number, y: number, z: number): number {
  const angle = (2 * Math.PI * z) / tube.wavelength + tube.phase;
  const dx = x - tube.x - tube.swing * Math.sin(angle);
  const dy = y - tube.y - tube.swing * 0.5 * Math.cos(angle);
  return tube.radius - Math.sqrt(dx * dx + dy * dy);
}
