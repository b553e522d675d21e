// A forward pass, step by step as the papers write it, with every intermediate value at hand. The engine fuses these
// steps and never writes most of the values down; here each is computed by an op of its own, from the model's own
// parameters.

import { copied } from '../core/copied.js';
import type { Trace, Traceable } from './trace-types.js';

/**
 * Runs one sequence, or a pair of them, through a model and returns every intermediate value: see `Trace`. Takes what
 * `forward` takes, but for one sequence and without padding, and gives its results up to rounding, without dropout.
 *
 * Throws ArgumentError if the model has another number of sides or an id is outside the vocabulary, ShapeError if a
 * sequence is empty or longer than `maxLength`.
 */
export async function trace(
  model: Traceable,
  source: readonly number[] | null,
  target?: readonly number[],
): Promise<Trace> {
  const given = copied([source, target] as const);
  const { joined, tracePass } = await import('./trace-pass.js');
  const { device } = model;
  const { all, arrange } = device.noGrad(() => device.scope(() => joined(tracePass(model, ...given))));
  try {
    return arrange((await all.data()) as Float32Array);
  } finally {
    all.dispose();
  }
}
