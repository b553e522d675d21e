// Drafts of a layer for multi-token prediction. The layer reads the features of every token that the model has read.
// Its first drafted token follows from the features of the newest one. It drafts further tokens from its own features.

import type { Device } from '../core/device.js';
import { Tensor } from '../core/tensor.js';
import type { DecoderState } from '../nn/decoder-state.js';
import { inference } from '../nn/module.js';
import { DraftCount } from './draft-count.js';
import type { Drafter } from './drafter.js';

/** The part of a `TokenPredictor` that drafts need. */
export interface Predictor {
  readonly device: Device;
  startDecoding(options: { maxLength: number }): DecoderState;
  read(
    state: DecoderState,
    start: number,
    next: Tensor,
    features: Tensor,
    position: number,
  ): { readonly features: Tensor; readonly token: Tensor };
}

/** Minimum capacity of the state in tokens. It doubles when it is used up. */
const MIN_CAPACITY = 256;

/** Features of tokens that the layer has not read. */
interface Features {
  /** Position of the first token. */
  readonly start: number;
  readonly rows: Tensor;
}

export class PredictorDrafter implements Drafter {
  readonly #unread: Features[] = [];
  #state: DecoderState | null = null;
  /** Number of tokens in the state whose successors are final. */
  #length = 0;
  /** Position of the state's first token. It grows when the model reads tokens that this drafter does not see. */
  #offset = 0;
  readonly #count = new DraftCount();

  constructor(
    private readonly device: Device,
    private readonly predictor: Predictor,
  ) {}

  observe(start: number, features: Tensor): void {
    const rows = this.device.unscoped(() => features.rows(0, features.shape[0] as number));
    this.#unread.push({ start, rows });
  }

  async propose(context: readonly number[], max: number): Promise<number[]> {
    const tokens = inference(this.predictor, () => this.#predict(context, this.#count.within(max)));
    if (tokens.length === 0) return [];
    try {
      const read = await Tensor.dataOf(tokens as [Tensor, ...Tensor[]]);
      return read.map(([token]) => token as number);
    } finally {
      for (const token of tokens) token.dispose();
    }
  }

  /** The drafted tokens after `context`, int32 [1] each, which the caller disposes of. */
  #predict(context: readonly number[], count: number): Tensor[] {
    const first = this.#readFeatures(context, count);
    if (first === null) return [];
    const tokens = [first.token];
    let { features, token } = first;
    while (tokens.length < count) {
      const rows = features.shape[0] as number;
      const lastPosition = this.#length + tokens.length - 1;
      const position = context.length + tokens.length - 1;
      ({ features, token } = this.predictor.read(
        this.#ensureCapacity(lastPosition + 1),
        lastPosition,
        token,
        features.rows(rows - 1, rows),
        position,
      ));
      tokens.push(token);
    }
    return tokens.map((tensor) => this.device.keep(tensor));
  }

  recordAccepted(proposed: number, accepted: number): void {
    this.#count.learn(proposed, accepted);
  }

  dispose(): void {
    this.#disposeUnread();
    this.#state?.dispose();
    this.#state = null;
  }

  /** Reads all features whose next token is known. Returns the prediction after the newest one; null without any. */
  #readFeatures(context: readonly number[], further: number) {
    let last: ReturnType<Predictor['read']> | null = null;
    const known = context.length - 1; // tokens with a next one
    for (const { start, rows } of this.#unread) {
      const count = Math.min(rows.shape[0] as number, known - start); // later ones belong to rejected tokens
      if (count < 1) continue;
      if (start - this.#offset > this.#length) this.#offset = start - this.#length;
      const position = start - this.#offset;
      const next = this.device.tensor(Int32Array.from(context.slice(start + 1, start + 1 + count)));
      last = this.predictor.read(
        this.#ensureCapacity(position + count + further),
        position,
        next,
        rows.rows(0, count),
        start + 1,
      );
      this.#length = position + count;
    }
    this.#disposeUnread();
    return last;
  }

  /** The state, with a capacity of at least `length` tokens. */
  #ensureCapacity(length: number): DecoderState {
    const old = this.#state;
    if (old !== null && old.sizes.capacity >= length) return old;
    const maxLength = Math.max(MIN_CAPACITY, 2 ** Math.ceil(Math.log2(length)));
    const state = this.predictor.startDecoding({ maxLength });
    if (old !== null) {
      state.copySequence(0, 0, this.#length, old);
      old.dispose();
    }
    this.#state = state;
    return state;
  }

  #disposeUnread(): void {
    for (const { rows } of this.#unread.splice(0)) rows.dispose();
  }
}
