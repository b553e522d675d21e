/**
 * The number of tokens that a layer for multi-token prediction drafts for a pass. Each token takes time, and later ones
 * are rejected more often.
 */
export class DraftCount {
  #count = FIRST;

  within(max: number): number {
    return Math.min(this.#count, max);
  }

  /** Sets the next number: one more if all tokens were accepted, otherwise as many as were accepted. */
  learn(proposed: number, accepted: number): void {
    this.#count = accepted === proposed ? Math.min(MAX, proposed + 1) : Math.max(1, accepted);
  }
}

/** Maximum number of drafted tokens, and the number of the first pass. */
const [MAX, FIRST] = [4, 2];
