import { GuessAccount, MAX_GUESSES } from '../speculative.js';
import type { BatchedSequence } from './batched-sequence.js';
import type { BatchingOptions } from './options.js';
import type { Passes } from './passes.js';

/** Maximum number of earlier answers in which tokens are looked up, and of their tokens that are kept. */
const [MAX_ANSWERS, MAX_TOKENS] = [16, 1024];

/** Guesses of the next tokens of a sequence that runs alone, as long as they pay off. */
export class Guesses {
  readonly #account = new GuessAccount();
  /** Earlier answers, the latest first. */
  #answers: { readonly prefixScope: string; readonly tokens: readonly number[] }[] = [];

  constructor(private readonly mode: NonNullable<BatchingOptions['lookup']>) {}

  /** Returns guesses of the tokens after the next one. They are [] if guesses cost more than they save. */
  after(sequence: BatchedSequence, { state, room, areBrief }: Passes): number[] {
    if (this.mode === 'never' || state.isRecurrent) return [];
    if (this.mode === 'auto' && (areBrief || !this.#account.allows)) return [];
    const max = Math.min(MAX_GUESSES, room.capacity - sequence.read - 2); // see Passes.step
    const { prefixScope } = sequence;
    const earlier = this.#answers.filter((answer) => answer.prefixScope === prefixScope);
    return max > 0
      ? sequence.guess(
          max,
          earlier.map(({ tokens }) => tokens),
        )
      : [];
  }

  /** Records a pass of `time` milliseconds with `guessed` guesses, of which the first `right` ones were right. */
  learn(sequence: BatchedSequence, guessed: number, right: number, time: number): void {
    if (guessed === 0) this.#account.addStep(time);
    else {
      sequence.learn(guessed, right);
      this.#account.addPass(time, right + 1);
    }
  }

  /** Keeps the answer of a sequence for guesses in later sequences of its scope. */
  remember({ prefixScope, answer }: BatchedSequence): void {
    if (this.mode === 'never' || answer.length === 0) return;
    this.#answers = [{ prefixScope, tokens: answer.slice(-MAX_TOKENS) }, ...this.#answers.slice(0, MAX_ANSWERS - 1)];
  }
}
