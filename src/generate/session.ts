import type { Program } from '../core/program.js';
import type { Tensor } from '../core/tensor.js';
import type { Transformer } from '../models/transformer.js';
import type { DecoderState, Memory } from '../nn/kv-cache.js';
import { packed } from '../nn/token-batch.js';
import type { Plan } from './options.js';

/** Idle sessions that a model keeps. */
const KEPT = 4;

/** What a session is good for; sizes are rounded up so that similar batches share one. */
interface Sizes {
  readonly sources: number;
  readonly beams: number;
  readonly maxLength: number;
  /** 0 without an encoder. */
  readonly sourceLength: number;
}

/**
 * A decoder state and the programs that advance it, recorded once. Sessions go back to the model after use and serve the next
 * batch of the same sizes.
 */
export class Session {
  readonly #step: Program<Tensor>;
  /** Made when beams change places for the first time. */
  #reorder: Program<Tensor> | null = null;

  constructor(
    readonly key: string,
    private readonly model: Transformer,
    readonly state: DecoderState,
  ) {
    this.#step = model.device.record(() => model.step(state));
  }

  /** The logits after one more token of each sequence, where sequence r first goes on from what was `order[r]`. */
  step(tokens: Int32Array, order: Int32Array | null): Promise<Float32Array> {
    if (order !== null) {
      this.#reorder ??= this.#recordReorder();
      this.#reorder.result.write(order);
      this.#reorder.run();
    }
    this.state.tokens.write(tokens);
    return this.#step.run().data() as Promise<Float32Array>;
  }

  dispose(): void {
    this.#step.dispose();
    this.#reorder?.dispose();
    this.state.dispose();
  }

  /** Its result is the order, to be written before it runs. */
  #recordReorder(): Program<Tensor> {
    const { device } = this.model;
    return device.record(() => {
      const order = device.empty([this.state.sequences], 'int32');
      this.state.reorder(order);
      return order;
    });
  }
}

/** Of each model the sessions that wait for the next batch, the one used last at the end. */
const idle = new WeakMap<Transformer, Session[]>();

/** A session that has read the inputs, and the logits of the first new tokens. Give it back with `endSession`. */
export function startSession(
  model: Transformer,
  { inputs, width, maxNewTokens }: Plan,
): { session: Session; logits: Promise<Float32Array> } {
  const { maxLength } = model.config;
  const prompts = inputs.map(({ prompt }) => prompt);
  const sources = inputs.map(({ row }) => row);
  return inference(model, () => {
    const memory = model.transformer.encoder ? model.encode(packed(sources)) : undefined;
    const session = takeSession(model, memory, {
      sources: inputs.length,
      beams: width,
      maxLength: Math.min(maxLength, roundUp(longest(prompts) + maxNewTokens - 1)),
      sourceLength: memory ? Math.min(maxLength, roundUp(longest(sources))) : 0,
    });
    try {
      const first = prompts.flatMap((prompt) => Array.from({ length: width }, () => prompt));
      if (memory) return { session, logits: session.step(Int32Array.from(first.flat()), null) };
      return { session, logits: model.prefill(session.state, packed(first)).data() as Promise<Float32Array> };
    } catch (error) {
      session.dispose();
      throw error;
    }
  });
}

export function endSession(model: Transformer, session: Session): void {
  const kept = idle.get(model) ?? [];
  idle.set(model, kept);
  kept.push(session);
  if (kept.length > KEPT) kept.shift()?.dispose();
}

/** Frees what the model keeps for generation. */
export function disposeSessions(model: Transformer): void {
  for (const session of idle.get(model)?.splice(0) ?? []) session.dispose();
}

/** Runs `fn` without dropout and gradients, in a scope. */
export function inference<T>(model: Transformer, fn: () => T): T {
  const { training, device } = model;
  if (training) model.eval();
  try {
    return device.noGrad(() => device.scope(fn));
  } finally {
    if (training) model.train();
  }
}

function takeSession(model: Transformer, memory: Memory | undefined, sizes: Sizes): Session {
  const key = Object.values(sizes).join(' ');
  const kept = idle.get(model) ?? [];
  const at = kept.findIndex((session) => session.key === key);
  if (at < 0) {
    const { sources: sequences, beams, maxLength, sourceLength } = sizes;
    const options = memory ? { memory, beams, maxLength, sourceLength } : { sequences, beams, maxLength };
    return new Session(key, model, model.startDecoding(options));
  }
  const session = kept[at] as Session;
  model.restartDecoding(session.state, memory);
  kept.splice(at, 1);
  return session;
}

function longest(rows: readonly (readonly number[])[]): number {
  return Math.max(...rows.map((row) => row.length));
}

/** To a power of two, 16 at least. */
function roundUp(length: number): number {
  return Math.max(16, 2 ** Math.ceil(Math.log2(length)));
}
