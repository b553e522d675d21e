// The encoding of commands. Their first word holds the opcode and the number of words.

import type { OperandKind } from './backend.js';

/** Returns the first word of a command that has `words` words. */
export const commandHead = (opcode: number, words: number): number => opcode | (words << 16);

/** Returns the opcode of the command at an index of a list. */
export const opcodeAt = (list: Uint32Array, index: number): number => (list[index] as number) & 0xffff;

/** Returns the number of words of the command at an index of a list, at least 1: a walk over any list ends. */
export const commandWords = (list: Uint32Array, index: number): number => (list[index] as number) >>> 16 || 1;

/** True if an operand of this kind is a tensor, which takes two words. */
export const isTensorKind = (kind: OperandKind): boolean => /in|out/.test(kind);
