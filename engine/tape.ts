import type { Tensor } from './tensor.ts';

/** Where the backward rule of an op puts the gradients of its inputs. */
export interface Gradients {
  /** The tensor to write the gradient of input i into, or undefined when nobody asks for it. */
  out(i: number): Tensor | undefined;
  /** States that the gradient of input i is `g` itself: no kernel needed. */
  pass(i: number, g: Tensor): void;
  /**
   * For contributions that touch few rows, or join others: `append` is called once, with the gradient of input i after everything else was
   * summed into it (zeros when there is nothing else), and adds to it in place. Not called when nobody asks.
   */
  add(i: number, append: (gradient: Tensor) => void): void;
}

/** One op as the tape remembers it. */
export interface Node {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  /** Appends the commands that turn the gradient of the output into gradients of the inputs. */
  readonly backward: (dy: Tensor, gradients: Gradients) => void;
}

/** What the tape needs of a recording while it walks back. */
export interface GradientSpace {
  like(t: Tensor, label: string): Tensor;
  /** A new tensor a + b. */
  sum(a: Tensor, b: Tensor): Tensor;
  /** target += g */
  accumulate(target: Tensor, g: Tensor): void;
  copy(from: Tensor, to: Tensor): void;
  /** target = 0 */
  clear(target: Tensor): void;
}

/**
 * Reverse-mode differentiation: visits the nodes backwards and hands each its output's gradient. Gradients of leaves
 * (tensors with `grad`) are written straight into their place in the flat gradient layout; a second contribution is
 * added. Returns the leaves that were reached.
 */
export function backward(nodes: readonly Node[], root: Tensor, seed: Tensor, space: GradientSpace): Set<Tensor> {
  const gradientOf = new Map<Tensor, Tensor>([[root, seed]]);
  const reached = new Set<Tensor>();
  /** Gradients that were written for one tensor and that nobody else reads: those `add` may write into. */
  const owned = new Set<Tensor>();
  const additions = new Map<Tensor, ((gradient: Tensor) => void)[]>();

  /** The finished gradient of an op's output, or undefined when none came. */
  const take = (output: Tensor): Tensor | undefined => {
    let g = gradientOf.get(output);
    gradientOf.delete(output);
    const appends = additions.get(output);
    if (!appends) return g;
    additions.delete(output);
    if (!g || !owned.has(g)) {
      const mine = space.like(output, `${output.label}.d`);
      if (g) space.copy(g, mine);
      else space.clear(mine);
      g = mine;
    }
    for (const append of appends) append(g);
    return g;
  };

  for (let n = nodes.length - 1; n >= 0; n--) {
    const { op, inputs, output, backward: rule } = nodes[n];
    const dy = take(output);
    if (!dy) continue;
    const made: (Tensor | undefined)[] = inputs.map(() => undefined);
    const leafAdditions: { input: Tensor; append: (gradient: Tensor) => void }[] = [];
    rule(dy, {
      out(i) {
        const input = inputs[i];
        if (!input.requiresGrad) return undefined;
        const direct = input.grad && !reached.has(input) && !inputs.slice(0, i).includes(input);
        made[i] = direct ? input.grad : space.like(input, `${op}.d${i}`);
        owned.add(made[i] as Tensor);
        return made[i];
      },
      pass(i, g) {
        if (inputs[i].requiresGrad) made[i] = g;
        owned.delete(g);
      },
      add(i, append) {
        const input = inputs[i];
        if (!input.requiresGrad) return;
        if (input.grad) leafAdditions.push({ input, append });
        else additions.set(input, [...(additions.get(input) ?? []), append]);
      },
    });
    made.forEach((g, i) => {
      if (!g) return;
      const input = inputs[i];
      if (input.grad) {
        if (g === input.grad) reached.add(input);
        else if (reached.has(input)) space.accumulate(input.grad, g);
        else {
          space.copy(g, input.grad);
          reached.add(input);
        }
        return;
      }
      const before = gradientOf.get(input);
      const sum = before ? space.sum(before, g) : g;
      if (before) owned.add(sum);
      gradientOf.set(input, sum);
    });
    for (const { input, append } of leafAdditions) {
      const grad = input.grad as Tensor;
      if (!reached.has(input)) space.clear(grad);
      reached.add(input);
      append(grad);
    }
  }
  return reached;
}
