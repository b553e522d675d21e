/** Passes on text up to the first stop string. Text that may begin a stop string is held back. */
export class StopStrings {
  #held = '';
  /** The stop string that was found, or null. */
  found: string | null = null;

  constructor(private readonly stops: readonly string[]) {}

  /** True once a stop string was found. */
  get stopped(): boolean {
    return this.found !== null;
  }

  push(piece: string): string {
    const text = this.#held + piece;
    const matches = this.stops.map((stop) => ({ stop, at: text.indexOf(stop) })).filter(({ at: index }) => index >= 0);
    const [first] = matches.sort((a, b) => a.at - b.at);
    if (first !== undefined) {
      this.found = first.stop;
      this.#held = '';
      return text.slice(0, first.at);
    }
    const safe = text.length - this.#partialLength(text);
    this.#held = text.slice(safe);
    return text.slice(0, safe);
  }

  /** Returns the text that was held back. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Returns the number of characters at the end that may begin a stop string. */
  #partialLength(text: string): number {
    let longest = 0;
    for (const stop of this.stops)
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--)
        if (text.endsWith(stop.slice(0, length))) longest = length;
    return longest;
  }
}
