import type { OperandKind } from '../backend/backend.js';
import type { Scalar } from './operand.js';

/** A word of a command list that a Scalar sets. */
export interface Patch {
  readonly index: number;
  readonly kind: OperandKind;
  readonly scalar: Scalar;
}

/** A growing list of encoded commands. */
export class CommandList {
  words = new Uint32Array(1024);
  floats = new Float32Array(this.words.buffer);
  length = 0;
  readonly patches: Patch[] = [];

  reserve(count: number): void {
    if (this.length + count <= this.words.length) return;
    const words = new Uint32Array(Math.max(this.words.length * 2, this.length + count));
    words.set(this.words.subarray(0, this.length));
    this.words = words;
    this.floats = new Float32Array(words.buffer);
  }

  append(words: Uint32Array): void {
    this.reserve(words.length);
    this.words.set(words, this.length);
    this.length += words.length;
  }

  setScalar(index: number, kind: OperandKind, value: number): void {
    if (kind === 'f32') this.floats[index] = value;
    else this.words[index] = value;
  }
}
