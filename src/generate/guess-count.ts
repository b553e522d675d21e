/** The number of tokens that a layer of a model guesses for a pass. Each guess takes time, and the later ones are wrong more often. */
export class GuessCount {
  #count = FIRST;

  within(max: number): number {
    return Math.min(this.#count, max);
  }

  /** One more after a pass without a wrong guess; otherwise as many as were right. */
  learn(proposed: number, accepted: number): void {
    this.#count = accepted === proposed ? Math.min(MAX, proposed + 1) : Math.max(1, accepted);
  }
}

/** Maximum number of guesses, and the number of the first pass. */
const [MAX, FIRST] = [4, 2];
