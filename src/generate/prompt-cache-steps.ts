import type { Tensor } from '../core/tensor.js';
import type { DecoderState } from '../nn/decoder-state.js';
import { type RecordedStep, recordStep } from './async-passes.js';
import type { Generative } from './generative.js';
import { Pace } from './pace.js';
import { Ranker } from './ranking.js';

/** The recorded step of a state with one sequence, and rankers for its logits by number of rows. */
export class PromptCacheSteps {
  readonly pace = new Pace();
  readonly #rankers = new Map<number, Ranker>();
  readonly #bestTokens = new Map<number, Tensor>();
  #step: RecordedStep | null = null;
  #isDisposed = false;

  /** `stopCount` and `suppressedCount` are the numbers of stop tokens and suppressed tokens. */
  constructor(
    private readonly model: Generative,
    private readonly state: DecoderState,
    readonly stopCount: number,
    readonly suppressedCount: number,
  ) {}

  /**
   * Returns the recorded step. It reads a token, ranks the next ones and writes the best one to `state.tokens`.
   * Recorded once.
   */
  async step(): Promise<RecordedStep> {
    if (this.#step !== null) return this.#step;
    const { model, state } = this;
    const ranker = this.ranker(1); // made outside of the recording, which frees its memory at its end
    const step = await recordStep(model, state, (logits) => ranker.rank(logits, state.tokens));
    if (this.#isDisposed) step.dispose();
    else this.#step = step;
    return step;
  }

  /** Returns the ranker for a number of rows of logits. */
  ranker(rows: number): Ranker {
    return getOrMake(
      this.#rankers,
      rows,
      () => new Ranker(this.model.device, 1, rows, this.stopCount, this.suppressedCount),
    );
  }

  /** Returns the tensor that receives the best token of each row: int32 [rows]. */
  bestTokens(rows: number): Tensor {
    if (rows === 1) return this.state.tokens;
    const { device } = this.model;
    return getOrMake(this.#bestTokens, rows, () => device.unscoped(() => device.empty([rows], 'int32')));
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#step?.dispose();
    for (const resource of [...this.#rankers.values(), ...this.#bestTokens.values()]) resource.dispose();
  }
}

function getOrMake<T>(all: Map<number, T>, key: number, make: () => T): T {
  const value = all.get(key) ?? make();
  all.set(key, value);
  return value;
}
