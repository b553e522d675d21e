// A forward pass step by step, as the papers write it, with every intermediate value. Observers of the model's parts
// see its own pass. Only values inside of a fused step are computed once more, from its operands: products and scores
// of attention, and mean and variance of norms.

import { checkMethod } from '../core/check.js';
import { copied } from '../core/copied.js';
import type { Tensor } from '../core/tensor.js';
import { inference } from '../nn/module.js';
import type { Trace, Traceable } from './trace-types.js';

/**
 * Runs one sequence, or a source and a target, through a model and returns every intermediate value: see `Trace`. It
 * takes the arguments of `forward`, but for one sequence without padding. Results have the bits of `forward`; dropout
 * is off. Parts of a layer that cannot be shown are null. `source` is a tensor for images, [1, channels, height,
 * width], or audio, [1, mel bins, frames]. A model of texts and images traces the encoder of the given kind.
 *
 * ```ts
 * const { encoder } = await trace(model, tokenizer.encode('a cat'));
 * encoder?.layers[0]?.selfAttention?.inside.weights; // { shape: [heads, tokens, tokens], data }
 * ```
 *
 * Throws ArgumentError if the model has another number of sides, or for an id outside the vocabulary. Throws ShapeError
 * if a sequence is empty or exceeds `maxLength`, or if a tensor has several images or sounds. Models without a single
 * stack of layers for a source, such as Swin and DETR, throw ArgumentError.
 */
export async function trace(
  model: Traceable,
  source: readonly number[] | Tensor | null,
  target?: readonly number[],
): Promise<Trace> {
  checkMethod('trace', 'model', model, 'runPass', 'a model');
  const inputs = copied([source, target] as const);
  const { joined, tracePass } = await import('./trace-pass.js');
  const { all, arrange } = inference(model, () => joined(tracePass(model, ...inputs)));
  try {
    return arrange((await all.data()) as Float32Array);
  } finally {
    all.dispose();
  }
}
