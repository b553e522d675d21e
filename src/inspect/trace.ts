// A forward pass, step by step as the papers write it, with every intermediate value at hand. The engine fuses these
// steps and never writes most of the values down; here each is computed by an op of its own, from the model's own
// parameters.

import { copied } from '../core/copied.js';
import type { Tensor } from '../core/tensor.js';
import type { Trace, Traceable } from './trace-types.js';

/**
 * Runs one sequence, or a pair of them, through a model and returns every intermediate value: see `Trace`. Takes what
 * `forward` takes, but for one sequence and without padding, and gives its results up to rounding, without dropout.
 * `source` is a tensor for models that read images, [1, channels, height, width], or sounds, [1, mel bins, frames]; a
 * model of texts and images traces the encoder of what it is given.
 *
 * ```ts
 * const { encoder } = await trace(model, tokenizer.encode('a cat'));
 * encoder?.layers[0]?.selfAttention.inside.weights; // { shape: [heads, tokens, tokens], data }
 * ```
 *
 * Throws ArgumentError if the model has another number of sides or an id is outside the vocabulary, ShapeError if a
 * sequence is empty or longer than `maxLength`, or a tensor is of more than one image or sound.
 */
export async function trace(
  model: Traceable,
  source: readonly number[] | Tensor | null,
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
