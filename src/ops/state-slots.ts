import { checkDevice, checkDTypes, checkShape, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** Pieces of sequences, and the slots that keep their states; see nn/recurrent-slots.ts. Tensors are int32 [pieces]. */
export interface StateSlotsOptions {
  /** Number of slots for the latest lengths. */
  readonly ring: number;
  /** Number of tokens between checkpoints, which use the other slots. */
  readonly spacing: number;
  /** The sequence of each piece. Undefined for a step, in which piece i is the newest token of sequence i. */
  readonly sequences?: Tensor | undefined;
  /** `positions`: length of the sequence before each piece. `ends`: length after it. */
  readonly positions: Tensor;
  readonly ends: Tensor;
  /**
   * `from` and `to` receive the slots of the states before and after each piece, as indices over all sequences; -1 if
   * there is none.
   */
  readonly from: Tensor;
  readonly to: Tensor;
}

/**
 * Finds the slots of recurrent states. `tags`: int32 [sequences, slots, 1], the length of the state in each slot, which
 * is updated. In a step, sequences are idle if their `ends` is not the next position. The run fails (CommandError) if a
 * piece begins at a length at which no state is kept. Throws ShapeError, DTypeError.
 */
export function stateSlots(tags: Tensor, options: StateSlotsOptions): void {
  const { ring, spacing, sequences = null, positions, ends, from, to } = options;
  const tensors = { tags, positions, ends, from, to, ...(sequences && { sequences }) };
  const device = checkDevice('stateSlots', tensors);
  checkDTypes('stateSlots', tensors, 'int32');
  const [rows = 0, slots = 0] = tags.shape;
  if (tags.shape.length !== 3 || !tags.isContiguous)
    throw new ShapeError(
      `stateSlots: tags is ${describeShape(tags.shape)}, expected [sequences, slots, 1], contiguous`,
    );
  const pieces = positions.size;
  for (const [name, tensor] of Object.entries({ positions, ends, from, to, ...(sequences && { sequences }) }))
    checkShape('stateSlots', name, tensor, [pieces]);
  device.emit('stateSlots', { tags, sequences, positions, ends, from, to, pieces, rows, slots, ring, spacing });
}
