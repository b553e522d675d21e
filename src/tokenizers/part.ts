import { FormatError } from '../core/errors.js';

/** One step of a tokenizer.json, such as its pre-tokenizer. */
export interface Part {
  readonly type?: unknown;
  readonly [key: string]: unknown;
}

/** Steps one after another; `list` is the name that their kind of sequence has for them. */
export function sequence(list: string, ...parts: unknown[]): Part {
  return { type: 'Sequence', [list]: parts };
}

export function refuse(what: string): never {
  throw new FormatError(
    `this tokenizer.json has ${what}: what reads it here would give other ids than Hugging Face's tokenizers, so use a ` +
      'tokenizer without that',
  );
}
