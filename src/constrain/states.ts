// The states of a network: bytes lead from one to the next, and rules call each other.

export interface Edge {
  readonly first: number;
  readonly last: number;
  readonly to: number;
}

/** A call of the rule that begins in `start`. The text after the rule continues in `returnTo`. */
export interface Call {
  readonly start: number;
  readonly returnTo: number;
}

export interface State {
  edges: readonly Edge[];
  /** States that are reached without a byte (ε-transitions). */
  epsilon: readonly number[];
  calls: readonly Call[];
  /** True if a rule ends here. */
  isEnd: boolean;
  /** True if only the rule's end can follow. */
  isTail: boolean;
  /** A number of tokens that suffice to reach the rule's end. */
  distance: number;
}

/** The states of all rules. The root rule begins in `start`. */
export interface Network {
  readonly states: readonly State[];
  readonly start: number;
}
