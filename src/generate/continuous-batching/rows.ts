/** A sequence, as the rows see it. */
export interface Occupant {
  /** The tokens that it begins with. */
  readonly prompt: readonly number[];
  /** Tokens whose keys and values are in the row once all queued commands have run. */
  readonly read: number;
  /** Leading tokens of the prompt that other sequences may copy. */
  readonly sharable: number;
  /** Sequences of one scope share prefixes. */
  readonly prefixScope: string;
}

interface Row<Sequence> {
  occupant: Sequence | null;
  /** The prompt of the last occupant, and its scope. The row has the keys and values of the first `kept` tokens. */
  prompt: readonly number[];
  prefixScope: string;
  kept: number;
  usedAt: number;
}

/** Tokens that take longer to read than to wait for. */
const WORTH_WAITING = 16;

/** Where a new sequence goes. */
export interface Place {
  readonly row: number;
  /** The row with the longest beginning in common, perhaps the same. */
  readonly from: number;
  /** How many tokens that is. */
  readonly common: number;
}

/**
 * The rows of a decoder's state: which sequence has which, and what prefixes lie in them. A row that is given back keeps
 * its prefix until another sequence needs the place.
 */
export class Rows<Sequence extends Occupant> {
  readonly #rows: Row<Sequence>[] = [];
  #clock = 0;

  constructor(count: number) {
    this.grow(count);
  }

  get count(): number {
    return this.#rows.length;
  }

  /** Adds rows up to `count`. */
  grow(count: number): void {
    while (this.count < count) this.#rows.push({ occupant: null, prompt: [], prefixScope: '', kept: 0, usedAt: -1 });
  }

  /** Removes all rows behind the first `count`, and all prefixes. No row may be in use. */
  reset(count: number): void {
    this.#rows.length = 0;
    this.grow(count);
  }

  /** Rows that hold tokens, and how many. */
  get held(): [row: number, tokens: number][] {
    const held = this.#rows.map(({ occupant, kept }, i): [number, number] => [i, occupant ? occupant.read : kept]);
    return held.filter(([, tokens]) => tokens > 0);
  }

  /** Rows in use, in order. */
  get active(): [row: number, sequence: Sequence][] {
    return this.#rows.flatMap(({ occupant }, i) => (occupant ? [[i, occupant] as [number, Sequence]] : []));
  }

  get used(): number {
    return this.#rows.reduce((sum, { occupant }) => sum + Number(occupant !== null), 0);
  }

  /** Rows up to the last one in use. */
  get extent(): number {
    return 1 + this.#rows.findLastIndex(({ occupant }) => occupant !== null);
  }

  occupant(row: number): Sequence | null {
    return this.#of(row).occupant;
  }

  /**
   * A free row for a sequence; there must be one. Steps compute for the first rows, a power of two of them, so the
   * free ones among these come first: that which has most of the prompt already, or else the one whose prefix was not
   * needed for the longest time. The last token of the prompt is always read, for what follows it.
   */
  place(sequence: Occupant): Place {
    const free = this.#rows.flatMap(({ occupant }, i) => (occupant ? [] : [i]));
    const first = free[0] as number;
    const within = sizeFor(Math.max(this.extent, first + 1));
    const common = this.#rows.map((row) => commonLength(row, sequence));
    const near = free.filter((row) => row < within);
    const rank = (row: number) => [-(common[row] as number), this.#of(row).usedAt] as const;
    near.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
    const row = near[0] as number;
    let from = row;
    for (let other = 0; other < this.count; other++)
      if ((common[other] as number) > (common[from] as number)) from = other;
    return { row, from, common: common[from] as number };
  }

  /** `kept` tokens of its prompt lie there. */
  take(row: number, occupant: Sequence, kept: number): void {
    const { prompt, prefixScope } = occupant;
    Object.assign(this.#of(row), { occupant, prompt, prefixScope, usedAt: this.#clock++ });
    this.keep(row, kept);
  }

  /** Says how much of its prompt lies in a row by now. */
  keep(row: number, kept: number): void {
    const of = this.#of(row);
    of.kept = Math.min(kept, of.occupant?.sharable ?? kept);
  }

  release(row: number): void {
    Object.assign(this.#of(row), { occupant: null, usedAt: this.#clock++ });
  }

  /** Whether a row is about to have more of a prompt than any has by now: who waits for that need not read it again. */
  isBeingRead(sequence: Occupant): boolean {
    const soon = this.#rows.map((row) =>
      commonLength(
        { ...row, kept: row.occupant ? Math.min(row.prompt.length, row.occupant.sharable) : row.kept },
        sequence,
      ),
    );
    const now = this.#rows.map((row) => commonLength(row, sequence));
    return Math.max(...soon) - Math.max(...now) >= WORTH_WAITING;
  }

  /** Forgets all prefixes. */
  clear(): void {
    for (const row of this.#rows) row.kept = 0;
  }

  /**
   * Pairs of rows to exchange, so that steps are for half of the rows or fewer, where sequences have left; none where
   * that would not help.
   */
  exchanges(): [number, number][] {
    const { used, extent } = this;
    if (used === 0 || sizeFor(used) >= sizeFor(extent)) return [];
    const pairs: [number, number][] = [];
    const free = this.#rows.flatMap(({ occupant }, i) => (occupant || i >= used ? [] : [i]));
    for (const [row] of this.active) {
      if (row < used) continue;
      const other = free.shift() as number;
      pairs.push([row, other]);
      [this.#rows[row], this.#rows[other]] = [this.#of(other), this.#of(row)];
    }
    return pairs;
  }

  #of(row: number): Row<Sequence> {
    return this.#rows[row] as Row<Sequence>;
  }
}

/** A few sizes of steps are enough: each is recorded once. */
export function sizeFor(rows: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, rows)));
}

/** The number of a prompt's tokens that a row has. The last token is always read, because the next one follows it. */
function commonLength(
  row: Pick<Occupant, 'prompt' | 'prefixScope'> & { readonly kept: number },
  { prompt, prefixScope }: Occupant,
): number {
  if (row.prefixScope !== prefixScope) return 0;
  const most = Math.min(row.kept, prompt.length - 1);
  let length = 0;
  while (length < most && row.prompt[length] === prompt[length]) length++;
  return length;
}
