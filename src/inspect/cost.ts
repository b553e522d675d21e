import { checkKnown, checkMethod, checkNumber, isCount } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { Stacks } from '../nn/encoder-decoder.js';
import { inference } from '../nn/module.js';
import type { Tokens } from '../nn/token-batch.js';

/** The cost of a model, computed without running it. */
export interface ModelCost {
  readonly parameters: number;
  /** Floating-point operations of one forward pass. A multiply-add counts as two. */
  readonly forwardFlops: number;
  /** Bytes of all tensors that a forward pass writes. */
  readonly forwardBytes: number;
}

/** Parts of a model that counting needs. */
export interface Countable extends Stacks {
  readonly device: Device;
  readonly maxLength: number;
  readonly padId: number | null;
  parameters(): readonly Tensor[];
  forward(source: Tokens | null, target?: Tokens): Tensor;
}

/**
 * Counts parameters, and the work of a forward pass over one source and one target. `source` and `target` are their
 * lengths in tokens, 32 by default. A length is ignored if the model has no such side. The pass is recorded but not
 * run. Dropout is not counted, and the random numbers of later passes do not change.
 *
 * Throws ArgumentError if a length is not a positive integer, and ShapeError if it exceeds the model's `maxLength`.
 */
export function modelCost(
  model: Countable,
  options: { source?: number | undefined; target?: number | undefined } = {},
): ModelCost {
  checkMethod('modelCost', 'model', model, 'forward', 'a model');
  const { source = 32, target = 32 } = checkKnown('modelCost', options, ['source', 'target']);
  for (const [name, length] of Object.entries({ source, target })) {
    checkNumber('modelCost', name, length, isCount, 'a positive integer');
  }
  const { device, padId, encoder, decoder, maxLength } = model;
  const id = padId === 0 ? 1 : 0;
  const tokens = (length: number) => {
    if (length > maxLength)
      throw new ShapeError(`modelCost: ${length} tokens, but the model's maxLength is ${maxLength}`);
    return [Array<number>(length).fill(id)];
  };
  const sources = encoder ? tokens(source) : null;
  const program = inference(model, () =>
    device.record(() => (decoder ? model.forward(sources, tokens(target)) : model.forward(sources))),
  );
  const { flops: forwardFlops, bytes: forwardBytes } = program;
  program.dispose();
  const parameters = model.parameters().reduce((sum, { size }) => sum + size, 0);
  return { parameters, forwardFlops, forwardBytes };
}
