// Pieces of packed sequences, and the recurrent states before and after each.

import { checkDevice, checkDType, checkShape, describeShape, orNull } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** The pieces of sequences that an op processes. */
export interface PieceOptions {
  /** int32 [pieces]: the rows of each piece. They add up to all rows. Default: each row is a piece. */
  readonly lengths?: Tensor | null | undefined;
  /**
   * float32 [slots, …]: recurrent states, which are read and written. They cannot be combined with gradients. Default:
   * none.
   */
  readonly states?: Tensor | null | undefined;
  /** int32 [pieces]: the slot of the state before each piece; -1 for a state of zeros. Needed with `states`. */
  readonly from?: Tensor | null | undefined;
  /** int32 [pieces]: the slot that receives the state after each piece; -1 for none. Needed with `states`. */
  readonly to?: Tensor | null | undefined;
}

const TENSOR = orNull('tensor');
export const PIECE_KINDS = { lengths: TENSOR, states: TENSOR, from: TENSOR, to: TENSOR };

/**
 * Checks the pieces, and returns their operands. `words`: number of words of a state. `isTrained`: true if gradients
 * are needed.
 */
export function piecesOf(op: string, x: Tensor, options: PieceOptions, words: number, isTrained: boolean) {
  const { lengths = null, states = null, from = null, to = null } = options;
  const rows = x.size / (x.shape.at(-1) as number);
  const pieceTensors = { ...(lengths && { lengths }), ...(from && { from }), ...(to && { to }) };
  checkDevice(op, { x, ...pieceTensors, ...(states && { states }) });
  const pieces = lengths?.size ?? rows;
  for (const [name, tensor] of Object.entries(pieceTensors)) {
    checkDType(op, name, tensor, 'int32');
    checkShape(op, name, tensor, [pieces]);
  }
  if ((states === null) !== (from === null) || (states === null) !== (to === null))
    throw new ArgumentError(`${op}: states, from and to belong together, expected all of them or none`);
  if (states === null) return { lengths, states, from, to, pieces, slots: 0 };
  checkDType(op, 'states', states, 'float32');
  if (isTrained) throw new ArgumentError(`${op}: states are given and gradients are needed, expected one of them`);
  if (!states.isContiguous || states.size % words !== 0)
    throw new ShapeError(`${op}: states is ${describeShape(states.shape)}, expected slots of ${words} words each`);
  return { lengths, states, from, to, pieces, slots: states.size / words };
}
