/** Which of the adapters found is taken. */
import type { Candidate, Probe, Refusal } from './enumerate.ts';
import type { NamedSource } from './sources.ts';

/** Hardware, llvmpipe through OpenGL ES, llvmpipe otherwise, the rest, SwiftShader. */
function rank({ kind, backend }: Candidate): number {
  if (kind === 'llvmpipe') return backend === 'opengles' ? 1 : 2;
  return { hardware: 0, software: 3, swiftshader: 4 }[kind];
}

/** Nothing that a later source offers could be better than one of these. */
export function settlesAuto(candidate: Candidate): boolean {
  return rank(candidate) <= 1;
}

/** Where a forced kind is most likely found, so that nothing else need be asked. */
export const SOURCE_OF_KIND: Record<string, string> = { llvmpipe: 'opengles', swiftshader: 'swiftshader' };

export function best(candidates: Candidate[]): Candidate | undefined {
  return candidates.toSorted((a, b) => rank(a) - rank(b))[0];
}

/** The adapter an index, a kind or a part of a name stands for. */
export function pick(wanted: string, candidates: Candidate[]): Candidate | undefined {
  if (/^\d+$/.test(wanted)) return candidates[Number(wanted)];
  const name = wanted.toLowerCase();
  return (
    best(candidates.filter((candidate) => candidate.kind === name)) ??
    best(candidates.filter((candidate) => candidate.name.toLowerCase().includes(name)))
  );
}

/** Probes source after source, the one called `first` before the others, until `enough` is content. */
export async function probe(
  all: NamedSource[],
  first: string | undefined,
  enough: (found: Candidate[]) => boolean,
): Promise<Probe> {
  const candidates: Candidate[] = [];
  const refusals: Refusal[] = [];
  for (const source of all.toSorted((a, b) => Number(b.name === first) - Number(a.name === first))) {
    const part = await source.probe();
    candidates.push(...part.candidates);
    refusals.push(...part.refusals);
    if (enough(candidates)) break;
  }
  return { candidates, refusals };
}
