import { DraftBudget, MAX_DRAFT_TOKENS } from '../speculative.js';
import type { BatchedSequence } from './batched-sequence.js';
import type { BatchingOptions } from './options.js';
import type { Passes } from './passes.js';

/** Maximum number of earlier answers in which tokens are looked up, and of their tokens that are kept. */
const [MAX_ANSWERS, MAX_TOKENS] = [16, 1024];

/** Drafts the next tokens of a sequence that runs alone, as long as drafts save time. */
export class Drafts {
  readonly #budget = new DraftBudget();
  /** Earlier answers, the latest first. */
  #answers: { readonly prefixScope: string; readonly tokens: readonly number[] }[] = [];

  constructor(private readonly mode: NonNullable<BatchingOptions['lookup']>) {}

  /** Drafts the tokens after the next one. Returns [] if drafts cost more time than they save. */
  draftFor(sequence: BatchedSequence, { state, stateSize, runInline }: Passes): number[] {
    if (this.mode === 'never' || state.isRecurrent) return [];
    if (this.mode === 'auto' && (runInline || !this.#budget.allowsDrafts)) return [];
    const max = Math.min(MAX_DRAFT_TOKENS, stateSize.capacity - sequence.read - 2); // see Passes.step
    const { prefixScope } = sequence;
    const earlier = this.#answers.filter((answer) => answer.prefixScope === prefixScope);
    return max > 0
      ? sequence.draft(
          max,
          earlier.map(({ tokens }) => tokens),
        )
      : [];
  }

  /**
   * Records a pass of `time` milliseconds with `proposed` drafted tokens, of which the first `accepted` were accepted.
   */
  recordPass(sequence: BatchedSequence, proposed: number, accepted: number, time: number): void {
    if (proposed === 0) this.#budget.addStep(time);
    else {
      sequence.recordAccepted(proposed, accepted);
      this.#budget.addPass(time, accepted + 1);
    }
  }

  /** Keeps the answer of a sequence for drafts of later sequences of its scope. */
  addAnswer({ prefixScope, answer }: BatchedSequence): void {
    if (this.mode === 'never' || answer.length === 0) return;
    this.#answers = [{ prefixScope, tokens: answer.slice(-MAX_TOKENS) }, ...this.#answers.slice(0, MAX_ANSWERS - 1)];
  }
}
