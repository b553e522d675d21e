// Texts that random scores write under a constraint, and what ajv says of them.

import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { constrain, NoRoomError, type ResponseFormat, ResponseFormatError } from '../../src/constrain/index.js';
import { Random } from '../../src/core/random.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/huggingface.js';
import { repeatedNames } from './repeated-names.js';
import { randomDocument } from './schemas.js';

/** The tokens of the prompt. */
export const BEGIN = 1;

/** A random text of a format. */
export async function write(
  tokenizer: PretrainedTokenizer,
  format: ResponseFormat,
  seed: number,
  max = 200,
): Promise<string> {
  const { logitsProcessors, stop } = await constrain(tokenizer, format);
  const random = new Random(seed, 7);
  const tokens = [5];
  const scores = new Float32Array(tokenizer.vocabSize);
  while (tokens.length < BEGIN + max) {
    for (let i = 0; i < scores.length; i++) scores[i] = random.below(1 << 20);
    for (const processor of logitsProcessors) processor(scores, tokens, { begin: BEGIN, maxLength: BEGIN + max });
    let best = 0;
    for (let i = 1; i < scores.length; i++) if ((scores[i] as number) > (scores[best] as number)) best = i;
    if (best === tokenizer.eosId || best === 0) break;
    tokens.push(best);
    if (stop(tokens.slice(BEGIN))) break;
  }
  return tokenizer.decode(tokens.slice(BEGIN));
}

export interface Trial {
  readonly outcome: 'written' | 'refused' | 'wrong';
  readonly details: string;
}

/** Writes a random answer for a random schema and checks it. */
export async function tryDocument(tokenizer: PretrainedTokenizer, seed: number): Promise<Trial> {
  const random = new Random(seed, 3);
  const schema = randomDocument(random);
  const max = 40 + random.below(120);
  const wrong = (what: string): Trial => ({ outcome: 'wrong', details: `${what}: ${JSON.stringify(schema)}` });
  let written: string;
  try {
    written = await write(tokenizer, { type: 'json_schema', schema }, seed, max);
  } catch (error) {
    // A format that does not fit is refused at once, not in the middle of the text.
    const isRefused = error instanceof NoRoomError ? error.generated === 0 : error instanceof ResponseFormatError;
    return isRefused ? { outcome: 'refused', details: String(error) } : wrong(String(error));
  }
  const ajv = new Ajv.default({ strict: false, ownProperties: true, unicodeRegExp: true });
  addFormats.default(ajv);
  const validate = ajv.compile(schema);
  const repeated = repeatedNames(written);
  if (repeated.length > 0) return wrong(`${written} repeats ${repeated}`);
  if (!validate(JSON.parse(written))) return wrong(`${written}: ${ajv.errorsText(validate.errors)}`);
  return { outcome: 'written', details: written };
}
