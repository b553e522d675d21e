// What commands are made of, before they are encoded.

import type { OperandKind } from '../backend/backend.js';
import { checkNumber, isUint32, UINT32 } from './check-values.js';
import type { Shape } from './shape.js';
import type { Storage } from './storage.js';

/** A number in a command that a recorded program can change between runs; see `Device.scalar`. */
export class Scalar {
  constructor(
    readonly name: string,
    public value: number,
    /** What runs of a program that do not name it set it to; without, it keeps its value. */
    readonly draw?: () => number,
    /** That of the program that draws it; others that use it keep what that drew. */
    readonly arena?: object,
  ) {}
}

/** Where a tensor operand lies, in words. */
export interface Region {
  readonly offset: number;
  readonly length: number;
}

/** What has a place in the heap: a Tensor, or a part of one. */
export interface Placed {
  readonly shape: Shape;
  /** What a recorded program must hold, as it goes on using the place. */
  readonly storage: Storage;
  /** `op` is for error messages. */
  region(op?: string): Region;
}

/** What a command takes for an operand; null and undefined for a tensor that is left out. */
export type Operand = Placed | Scalar | number | boolean | null | undefined;

/** What would be rounded or wrap where the engine keeps it is refused. */
export function checkScalar(op: string, name: string, value: number, kind: OperandKind): void {
  if (kind === 'u32') checkNumber(op, name, value, isUint32, UINT32);
}
