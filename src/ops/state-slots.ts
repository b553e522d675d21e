import { checkDevice, checkDTypes, checkShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** Pieces of sequences, and where their states are kept; see nn/recurrent-slots.ts. Tensors are int32 [pieces]. */
export interface StateSlotsOptions {
  /** Slots for the latest lengths. */
  readonly ring: number;
  /** Tokens between checkpoints, which have the other slots. */
  readonly spacing: number;
  /** The sequence of each piece. Left out for a step: piece i is the newest token of sequence i. */
  readonly sequences?: Tensor | undefined;
  /** The length before each piece, and the one after it. */
  readonly positions: Tensor;
  readonly ends: Tensor;
  /** Receive the slots of the states before and after each piece, counted through all sequences; -1 if there is none. */
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
  if (tags.shape.length !== 3 || !tags.isContiguous) throw new ShapeError('stateSlots: tags is not [rows, slots, 1]');
  const pieces = positions.size;
  for (const [name, tensor] of Object.entries({ positions, ends, from, to, ...(sequences && { sequences }) }))
    checkShape('stateSlots', name, tensor, [pieces]);
  device.emit('stateSlots', { tags, sequences, positions, ends, from, to, pieces, rows, slots, ring, spacing });
}
