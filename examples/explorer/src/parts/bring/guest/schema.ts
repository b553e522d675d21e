// A constrained answer, step by step: what a schema leaves of the vocabulary.

import { constrain } from 'simdformer/constrain';
import type { TextModel } from 'simdformer/pretrained';
import { Complaint } from '../../../model.js';
import { type Guess, type Guest, MAX_TOKENS } from './guest.js';
import { softmaxed } from './pass.js';
import { idsOf } from './read.js';

/** Names of properties, and values that the two kinds of the example have. */
export const EXAMPLE = JSON.stringify({
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', maximum: 99 } },
  required: ['name', 'age'],
  additionalProperties: false,
});

/** The choice of one token. Probabilities are those of the free model. */
export interface Step {
  /** The best allowed token, which is chosen. */
  readonly chosen: Guess;
  /** Null if every token is allowed. */
  readonly forbidden: Guess | null;
  /** Number of allowed tokens. */
  readonly allowed: number;
  /** Their probability. */
  readonly mass: number;
}

export interface Constrained {
  readonly steps: readonly Step[];
  readonly vocabulary: number;
  readonly text: string;
  /** False if the answer is cut off. */
  readonly isComplete: boolean;
}

/** Continues a text with an answer that fits a schema, greedily. Throws Complaint for a schema that is not JSON. */
export async function constrained(guest: Guest, text: string, schema: string): Promise<Constrained> {
  const { model } = guest;
  const tokenizer = model.tokenizer as TextModel['tokenizer'];
  const format = { type: 'json_schema', schema: parsed(schema) } as const;
  const { logitsProcessors, stop } = await constrain(tokenizer, format, { stopTokens: model.endIds });
  const steps: Step[] = [];
  let free = new Float32Array();
  const before = (scores: Float32Array) => {
    free = scores.slice();
  };
  const after = (scores: Float32Array) => {
    steps.push(stepOf(guest, free, scores));
  };
  const { sequences, finishReasons } = await model.generate([idsOf(guest, text)], {
    numBeams: 1,
    doSample: false,
    repetitionPenalty: 1,
    maxNewTokens: MAX_TOKENS,
    stop,
    logitsProcessors: [before, ...logitsProcessors, after],
  });
  return {
    steps,
    vocabulary: free.length,
    text: guest.textOf(sequences[0] as number[]),
    isComplete: finishReasons[0] === 'stop',
  };
}

function parsed(schema: string): object {
  try {
    const value: unknown = JSON.parse(schema);
    if (typeof value === 'object' && value !== null) return value;
  } catch {} // reported below
  throw new Complaint('The schema is not a JSON object.');
}

function stepOf(guest: Guest, free: Float32Array, scores: Float32Array): Step {
  const { data } = softmaxed({ shape: [1, free.length], data: free });
  let [chosen, forbidden, allowed, mass] = [-1, -1, 0, 0];
  for (const [id, probability] of data.entries()) {
    if (scores[id] === Number.NEGATIVE_INFINITY) {
      if (forbidden < 0 || probability > (data[forbidden] as number)) forbidden = id;
      continue;
    }
    allowed++;
    mass += probability;
    if (chosen < 0 || (free[id] as number) > (free[chosen] as number)) chosen = id;
  }
  const guess = (id: number) => ({ name: guest.nameOf(id), probability: data[id] as number });
  return { chosen: guess(chosen), forbidden: forbidden < 0 ? null : guess(forbidden), allowed, mass };
}
