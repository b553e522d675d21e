import { FormatError } from '../core/errors.js';

/** One step of a tokenizer.json, such as its pre-tokenizer. */
export interface Part {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

/** The steps of a part, of sequences within sequences, too; `list` is the name that their kind of sequence has for them. */
export function partsOf(part: unknown, list: string): Part[] {
  if (part === null || part === undefined) return [];
  if (typeof part !== 'object') return refuse(`${JSON.stringify(part)} among its ${list}, expected an object`);
  const { type, [list]: parts } = part as Part;
  if (type !== 'Sequence') return [part as Part];
  if (!Array.isArray(parts)) return refuse(`a sequence without ${list}, expected a list`);
  const odd = parts.find((each) => typeof each !== 'object' || each === null);
  if (odd !== undefined) return refuse(`${JSON.stringify(odd)} among its ${list}, expected an object`);
  return parts.flatMap((each) => partsOf(each, list));
}

export function refuse(what: string): never {
  throw new FormatError(`this tokenizer.json has ${what}`);
}
