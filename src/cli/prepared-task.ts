// Parts that all tasks of `simdformer train` share: making the model, and fitting it.

import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { TransformerOptions } from '../models/config.js';
import { Transformer } from '../models/families/transformer.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';
import { AdamW } from '../train/adamw.js';
import type { Batches, Example } from '../train/batches.js';
import { fingerprint } from '../train/fingerprint.js';
import { constant, cosine, inverseSquareRoot, linearDecay, type Schedule } from '../train/schedule.js';
import { type TaskConfig, WARMUP } from './config.js';
import type { Pair } from './data.js';
import { quoted } from './encoding.js';

/** A task whose data are read and whose model is made. */
export interface PreparedTask {
  readonly config: Required<Pick<TaskConfig, 'seed'>> & TaskConfig;
  readonly model: Transformer;
  readonly batches: Batches;
  readonly steps: number;
  readonly schedule: Schedule;
  readonly optimizer: AdamW;
  /** Measures the model after a step; lower is better for the first metric. Undefined if no data were held out. */
  readonly validate: ((step: number) => Promise<Record<string, number>>) | undefined;
}

export const SPECIAL = { pad: '<pad>', bos: '<s>', eos: '</s>' };

export type PairExample = Example & { readonly source: readonly number[] };

/**
 * Makes the model of a task. Throws ArgumentError if the task sets an option differently from the value that the data
 * determine.
 */
export function newModel(
  device: Device,
  { model: wanted = {}, seed = wanted.seed }: TaskConfig,
  decided: TransformerOptions,
  tokenizers: Transformer['tokenizers'],
): Transformer {
  for (const option of Object.keys(decided) as (keyof TransformerOptions)[]) {
    const [has, requested] = [decided[option], wanted[option]];
    if (requested === undefined || requested === has) continue;
    throw new ArgumentError(`model.${option} is ${JSON.stringify(requested)}, but the data require ${has}: omit it`);
  }
  const model = new Transformer(device, { ...wanted, ...decided, seed });
  model.tokenizers = tokenizers;
  return model;
}

/** Checks the length of a pair before training begins. */
export function checkLength(text: string, { source, target }: PairExample, maxLength: number, batch: number): void {
  const read = target.length - 1; // the end token is written, but not read
  checkSource(text, source.length, maxLength);
  if (read > maxLength)
    throw tooLong(`the target of ${quoted(text)}, with its start,`, read, `maxLength is ${maxLength}`);
  const both = source.length + target.length;
  if (both > batch) throw tooLong(`${quoted(text)} with its target`, both, `batch is ${batch}`);
}

export function checkSource(text: string, length: number, maxLength: number): void {
  if (length > maxLength) throw tooLong(quoted(text), length, `maxLength is ${maxLength}`);
}

function tooLong(what: string, length: number, limit: string): ArgumentError {
  return new ArgumentError(`${what} has ${length} tokens, but ${limit}: leave it out, or raise that in a JSON file`);
}

/**
 * The batches, with a fingerprint that also depends on the held-out data: a resumed run must not compare its
 * validations with those of other data.
 */
export function withHeldOut(batches: Batches, heldOut: ArrayLike<number>): Batches {
  const { perEpoch, batch, fingerprint: learnt } = batches;
  return { perEpoch, batch, fingerprint: fingerprint(heldOut, learnt) };
}

/** All texts of pairs as numbers, for a fingerprint. */
export function codesOf(pairs: readonly Pair[]): Uint16Array {
  const text = pairs.map(({ source, targets }) => [source, ...targets].join('\t')).join('\n');
  return Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
}

/** A prepared task without its validation. */
export function withoutValidation(
  config: TaskConfig,
  ranks: number,
  model: Transformer,
  batches: Batches,
): PreparedTask {
  const { seed = 0, epochs = 1, gradientAccumulation = 1, optimizer = {} } = config;
  const { steps = Math.ceil((epochs * batches.perEpoch) / (gradientAccumulation * ranks)) } = config;
  const decayed = model.parameters().filter(({ shape }) => shape.length > 1);
  const biases = model.parameters().filter(({ shape }) => shape.length <= 1);
  const groups = [{ params: decayed }, { params: biases, weightDecay: 0 }];
  return {
    config: { ...config, seed },
    model,
    batches,
    steps,
    schedule: scheduleOf(config, steps),
    optimizer: new AdamW(groups, { beta1: 0.9, ...optimizer }),
    validate: undefined,
  };
}

function scheduleOf({ task, schedule = {} }: TaskConfig, steps: number): Schedule {
  // Short trials, too, warm up and decay by default.
  const { kind, peak = 1e-3, warmup = Math.min(WARMUP[task], Math.floor(steps / 4)) } = schedule;
  switch (kind) {
    case 'cosine':
      return cosine(peak, { steps, warmup, final: peak / 10 });
    case 'linear':
      return linearDecay(peak, { steps, warmup });
    case 'inverseSquareRoot':
      return inverseSquareRoot(peak, { warmup });
    default:
      return constant(peak, { warmup });
  }
}

/** Ids of special tokens; null if the vocabulary lacks one. */
export function specialIds({ padId, bosId, eosId }: Tokenizer) {
  return { padId: padId ?? null, bosId: bosId ?? null, eosId: eosId ?? null };
}
