import type { Stream } from '../../engine/random.ts';
import { type Blob, type Point, randomBlob, type Tube } from './phantom_shapes.ts';

/** The parts of one phantom, in millimetres around the middle of its grid. */
export interface Anatomy {
  readonly body: Blob;
  readonly organ: Blob;
  readonly chamber: Blob;
  readonly lesion: Blob;
  readonly neighbour: Blob;
  readonly spine: Blob;
  readonly vessel: Tube;
}

/** Parts of random shape, size and place in a torso that fills a grid of `half` mm to each side. */
export function randomAnatomy(stream: Stream, half: number): Anatomy {
  const at = (x: number, y: number, z: number): Point => [x * half, y * half, z * half];
  const body = randomBlob(stream, at(0, 0, 0), at(0.86, 0.68, 1.7), {
    jitter: half * 0.02,
    stretch: 0.03,
    roughness: 0.02,
    tilt: 0.05,
  });
  const organ = randomBlob(stream, at(0.28, 0.1, 0), at(0.48, 0.45, 0.7), {
    jitter: half * 0.04,
    stretch: 0.06,
    roughness: 0.07,
    tilt: 0.3,
  });
  const inner: Point = [organ.centre[0], organ.centre[1], organ.centre[2]];
  const chamber = randomBlob(stream, inner, at(0.29, 0.27, 0.42), {
    jitter: half * 0.04,
    stretch: 0.1,
    roughness: 0.08,
    tilt: 0.5,
  });
  const lesion = randomLesion(stream, organ, half);
  const neighbour = randomBlob(stream, at(-0.48, -0.02, 0.1), at(0.2, 0.27, 0.34), {
    jitter: half * 0.05,
    stretch: 0.1,
    roughness: 0.08,
    tilt: 0.3,
  });
  const spine = randomBlob(stream, at(0, -0.42, 0), at(0.15, 0.13, 3), {
    jitter: half * 0.02,
    stretch: 0.06,
    roughness: 0.02,
  });
  const vessel = {
    x: half * stream.uniform(-0.12, -0.06),
    y: half * stream.uniform(-0.2, -0.14),
    radius: half * stream.uniform(0.065, 0.095),
    swing: half * stream.uniform(0.02, 0.05),
    wavelength: half * stream.uniform(1.2, 2.4),
    phase: stream.uniform(0, 2 * Math.PI),
  };
  return { body, organ, chamber, lesion, neighbour, spine, vessel };
}

/** A small blob in the organ's wall, between the chamber and the surface. */
function randomLesion(stream: Stream, organ: Blob, half: number): Blob {
  const direction = [stream.normal(), stream.normal(), stream.normal()];
  const length = Math.hypot(...direction) || 1;
  const [x, y, z] = direction.map((d, a) => organ.centre[a] + (d / length) * organ.radii[a] * 0.6);
  const radius = half * stream.uniform(0.18, 0.23);
  return randomBlob(stream, [x, y, z], [radius, radius, radius], { stretch: 0.1, roughness: 0.08 });
}
