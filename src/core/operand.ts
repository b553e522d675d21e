// Parts of commands before they are encoded.

import type { OperandKind } from '../backend/backend.js';
import { checkNumber, isUint32, UINT32 } from './check-values.js';
import type { Shape } from './shape.js';
import type { Storage } from './storage.js';

/** A number in a command that a recorded program can change between runs; see `Device.scalar`. */
export class Scalar {
  constructor(
    readonly name: string,
    public value: number,
    /** Draws a new value for each run of a program that does not set it. If omitted, the scalar keeps its value. */
    readonly draw?: () => number,
    /** Arena of the program that draws the value. Other programs use the latest value. */
    readonly arena?: object,
  ) {}
}

/** The position of a tensor operand in the heap, in words. */
export interface Region {
  readonly offset: number;
  readonly length: number;
}

/** A value in the heap: a Tensor, or a part of one. */
export interface HeapValue {
  readonly shape: Shape;
  /** The memory, which a recorded program must retain for its runs. */
  readonly storage: Storage;
  /** `op` is for error messages. */
  region(op?: string): Region;
}

/** A number of a command. True counts as 1, false as 0. */
export type NumberOperand = Scalar | number | boolean;

/** Several numbers that form one operand. */
export type OperandGroup = Readonly<Record<string, NumberOperand>>;

/** The value of an operand. Null and undefined stand for an omitted tensor. */
export type Operand = HeapValue | OperandGroup | NumberOperand | null | undefined;

/** True for a tensor or a part of one. */
export function isHeapValue(operand: Operand): operand is HeapValue {
  return typeof operand === 'object' && operand !== null && 'storage' in operand;
}

/** Refuses a value that the engine would round or wrap. */
export function checkScalar(op: string, name: string, value: number, kind: OperandKind): void {
  if (kind === 'u32') checkNumber(op, name, value, isUint32, UINT32);
}
