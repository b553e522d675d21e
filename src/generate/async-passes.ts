// Runs passes of a model in slices: the event loop runs between layers. A first call executes code that is not yet
// compiled for many layers. Without slices it could block the event loop for 100 ms.

import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Program } from '../core/program.js';
import { begun, eachWithin, inSlices, type MaybeInParts, slice } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { inference } from '../nn/module.js';
import { type RowAdapters, withAdapters } from '../nn/row-adapters.js';
import type { Tokens } from '../nn/token-batch.js';
import type { ExtendOptions, Generative } from './generative.js';

/** Latest preparation on each device. Preparations run one after the other, so that each part is made once. */
const preparations = new WeakMap<Device, Promise<void>>();

/**
 * Makes the tensors that states for texts of `length` tokens share, in slices. A new state then takes little time.
 */
export async function prepareAsync(model: Generative, length: number): Promise<void> {
  if (model.prepareInParts === undefined) return;
  const prepared = prepareAfter(preparations.get(model.device), model, length);
  preparations.set(
    model.device,
    prepared.catch(() => {}),
  );
  await prepared;
}

async function prepareAfter(before: Promise<void> | undefined, model: Generative, length: number): Promise<void> {
  await before;
  if (model.prepareInParts !== undefined) await inSlices(model.prepareInParts(length));
}

/** Encodes the result of `sources`, in slices. The caller disposes of the result. */
export function encodeAsync(model: Generative, sources: () => Tokens): Promise<Memory> {
  return inferenceAsync(model, () => encodeInParts(model, sources()));
}

/** Encodes sources. Throws ArgumentError if the model cannot. */
export function encodeInParts(model: Generative, sources: Tokens): MaybeInParts<Memory> {
  if (model.encodeInParts) return model.encodeInParts(sources);
  throw new ArgumentError('generate: the model has a maxSourceLength, but no encodeInParts()');
}

/** Runs `model.prefillInParts` in slices. */
export async function prefillAsync(model: Generative, state: DecoderState, prompts: Tokens): Promise<Tensor> {
  await yieldToEventLoop();
  return inSlices(
    begun(() => {
      if (model.prefillInParts) return model.prefillInParts(state, prompts);
      throw new ArgumentError('generate: the model has neither an encoder nor prefillInParts(), expected one of them');
    }),
  );
}

/** Runs `model.extendInParts` in slices. `adapters`: null for the active ones. */
export async function extendAsync(
  model: Generative,
  state: DecoderState,
  tokens: Tokens,
  options: ExtendOptions,
  adapters: RowAdapters | null = null,
): Promise<Tensor | null> {
  await yieldToEventLoop();
  const work = begun(() => inference(model, () => model.extendInParts?.(state, tokens, options) ?? null));
  return inSlices(eachWithin((part) => withAdapters(adapters, part), work));
}

/** A recorded step of a model: one program, or several that run one after the other. */
export class RecordedStep {
  /** `programs` of one step, in order. */
  constructor(private readonly programs: readonly Program<Tensor>[]) {}

  /** float32 [sequences, vocabSize]: the logits of the latest run. */
  get result(): Tensor {
    return this.#last.result;
  }

  get #last(): Program<Tensor> {
    return this.programs.at(-1) as Program<Tensor>;
  }

  /** Queues the step. `scalars` are passed to the last program, which ranks the logits. */
  run(scalars: Readonly<Record<string, number>> = {}): Tensor {
    for (const program of this.programs.slice(0, -1)) program.run();
    return this.#last.run(scalars);
  }

  dispose(): void {
    for (const program of this.programs.toReversed()) program.dispose();
  }
}

/** Records a step of `model` with `state`, in slices. `rank` emits the commands that use its logits. */
export async function recordStep(
  model: Generative,
  state: DecoderState,
  rank: (logits: Tensor) => void,
  adapters: RowAdapters | null = null,
): Promise<RecordedStep> {
  await yieldToEventLoop();
  const layers = begun(() => model.stepInParts(state)) as Generator<Tensor, Tensor>;
  const programs: Program<Tensor>[] = [];
  let isDone = false;
  const record = () => {
    const { done, value } = slice(layers);
    isDone = done === true;
    if (isDone) rank(value);
    return value;
  };
  try {
    for (;;) {
      programs.push(model.device.record(() => withAdapters(adapters, record)));
      if (isDone) return new RecordedStep(programs);
      await yieldToEventLoop();
    }
  } catch (error) {
    for (const program of programs) program.dispose();
    throw error;
  }
}
