// OpenAI's fields for sampling, as options of `generate`.

import { randomInt } from 'node:crypto';
import type { BatchedOptions, LogitsProcessor } from '../generate/index.js';
import { type AnyRow, OPTION_ROWS, OPTION_TABLE, type OptionName, type ServerField } from '../generate/option-table.js';
import { ApiError } from './errors.js';
import { anyOf, array, integer, number, optional, type Read, record, type Schema, string } from './schema.js';

/** The maximum number of answers to one prompt. */
const MAX_CHOICES = 16;

/** At lower temperatures the most probable token has all of the probability, within the precision of floats. */
const MIN_TEMPERATURE = 1e-3;

/** The rows of `generate`'s options that are fields of requests, by the names of the fields. */
const ROWS = new Map(
  OPTION_ROWS.flatMap(([option, row]) =>
    row.server === undefined ? [] : [[row.server.name, { option, row }] as const],
  ),
);

/** The field of an option: an integer if its values are integers. All APIs have the same limits. */
export function fieldOf(option: OptionName): Schema<number | undefined> {
  const { rule, help, server } = OPTION_TABLE[option] as AnyRow;
  const { name: _, ...limits } = server as ServerField;
  const kind = rule.accepts(0.5) ? number : integer;
  return optional(kind({ ...limits, description: help }));
}

/** Fields of numbers. Only `temperature` is read by its name. */
const numberFields = Object.fromEntries([...ROWS].map(([name, { option }]) => [name, fieldOf(option)])) as {
  readonly temperature: Schema<number | undefined>;
};

/** The fields that chats and completions have in common. */
export const samplingFields = {
  ...numberFields,
  logit_bias: optional(
    record(number({ min: -100, max: 100 }), {
      max: 1024,
      pattern: '^[0-9]{1,9}$',
      description: "Additions to logits by token id, from -100 to 100. Ids are those of the model's vocabulary.",
    }),
  ),
  seed: optional(integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1, description: 'Equal seeds give equal answers.' })),
  n: optional(integer({ min: 1, max: MAX_CHOICES })),
  stop: optional(
    anyOf(
      'a text of at most 256 characters, or an array of at most 4',
      string({ minLength: 1, maxLength: 256 }),
      array(string({ minLength: 1, maxLength: 256 }), { max: 4 }),
    ),
  ),
} as const;

type Sampling = { readonly [Name in keyof typeof samplingFields]: Read<(typeof samplingFields)[Name]> };

/**
 * The options of a request for a model of `vocabulary` tokens. Without a seed, a random one is drawn. At a temperature
 * of 0 the most probable token is chosen, and options for sampling have no effect. Throws ApiError 400 for a
 * `logit_bias` with an id that the model does not have.
 */
export function samplingOptions(request: Sampling, vocabulary: number): BatchedOptions {
  const { temperature, seed, logit_bias: bias } = request;
  const isGreedy = temperature !== undefined && temperature < MIN_TEMPERATURE;
  const values: Readonly<Record<string, unknown>> = request;
  const sampled = [...ROWS].flatMap(([field, { option, row }]) =>
    isGreedy && row.category === 'sampling' ? [] : [[option, values[field]] as const],
  );
  return {
    doSample: !isGreedy,
    seed: seed === undefined ? randomInt(2 ** 47) : Number(BigInt.asUintN(53, BigInt(seed))),
    ...(Object.fromEntries(sampled) as BatchedOptions),
    ...(bias && Object.keys(bias).length > 0 ? { logitsProcessors: [biased(bias, vocabulary)] } : {}),
  };
}

/** Adds to the logits of some tokens. −100 forbids a token. */
function biased(bias: Readonly<Record<string, number>>, vocabulary: number): LogitsProcessor {
  const additions = Object.entries(bias).map(([id, value]) => [Number(id), value] as const);
  const unknown = additions.find(([id]) => id >= vocabulary)?.[0];
  if (unknown !== undefined)
    throw new ApiError(
      400,
      `'logit_bias' has the token ${unknown}, expected ids from 0 to ${vocabulary - 1}`,
      'invalid_value',
      'logit_bias',
    );
  return (scores) => {
    for (const [id, value] of additions) {
      const change = value <= -100 ? Number.NEGATIVE_INFINITY : value;
      scores[id] = (scores[id] as number) + change;
    }
  };
}

export function stopsOf({ stop }: Pick<Sampling, 'stop'>): readonly string[] {
  return typeof stop === 'string' ? [stop] : (stop ?? []);
}
