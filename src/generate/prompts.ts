// The given beginnings of outputs: prompts or start tokens, and prefixes.

import { isList } from '../core/kinds.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import type { Source } from './plan.js';
import { refuseOptions } from './settings.js';

/** Returns the tokens that the decoder reads first: the inputs of decoder-only models, or the start token. */
export function promptsOf(
  { vocabSize, maxSourceLength = 0 }: Generative,
  inputs: readonly Source[],
  startId: number | null,
) {
  const isPrompts = (all: readonly Source[]): all is readonly (readonly number[])[] => maxSourceLength === 0;
  if (isPrompts(inputs) && inputs.every(({ length }) => length > 0)) return inputs;
  if (startId === null || startId >= vocabSize) {
    const otherwise = maxSourceLength > 0 ? '' : ', or give prompts that are not empty';
    refuseOptions(
      `bosId is ${startId}, but it begins outputs and targetVocab is ${vocabSize}: ` +
        `give the model, or its target tokenizer, a bosId below that${otherwise}`,
    );
  }
  return isPrompts(inputs)
    ? inputs.map((tokens) => (tokens.length === 0 ? [startId] : tokens))
    : inputs.map(() => [startId]);
}

/** Returns the length of the longest sequence. */
export function longest(sequences: readonly { readonly length: number }[]): number {
  return sequences.reduce((max, { length }) => Math.max(max, length), 0);
}

/** Returns the prefix of each input. */
export function prefixesOf(prefix: GenerateOptions['prefix'] = [], count: number): readonly (readonly number[])[] {
  const rows: readonly unknown[] = Array.from(prefix as ArrayLike<unknown>);
  const isOfEach = rows.every(isList);
  if (prefix.length === 0 || !isOfEach) {
    const shared = Array.from(prefix as readonly number[]);
    return Array.from({ length: count }, () => shared);
  }
  if (prefix.length !== count) refuseOptions(`prefix has ${prefix.length} rows, but there are ${count} inputs`);
  return rows.map((row) => Array.from(row as readonly number[]));
}
