import { type Dense, dense } from './dense.ts';

/** x + clip(sd n, -limit, limit), `normals` n of x's shape. */
export function gaussianNoise(x: Dense, normals: Dense, sd: number, limit: number): Dense {
  return dense(
    x.shape,
    x.data.map((v, i) => v + Math.max(-limit, Math.min(limit, sd * normals.data[i]))),
  );
}
