/** A sequence as the rows see it. */
export interface Occupant {
  /** Tokens of the prompt. */
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

/** Minimum common beginning, in tokens, that is worth waiting for: reading it again would take longer. */
const WORTH_WAITING = 16;

/** The row for a new sequence. */
export interface Place {
  readonly row: number;
  /** The row with the longest common beginning. It can be the same row. */
  readonly from: number;
  /** Length of that beginning in tokens. */
  readonly common: number;
}

/**
 * The rows of a decoder state: the sequence in each row, and the prefixes they hold. A freed row keeps its prefix until
 * another sequence needs the row.
 */
export class Rows<Sequence extends Occupant> {
  readonly #rows: Row<Sequence>[] = [];
  #clock = 0;

  /** `resumable`: the most tokens of a prompt, up to so many, after which another sequence can go on. Default: all. */
  constructor(
    count: number,
    private readonly resumable: (prompt: readonly number[], length: number) => number = (_, length) => length,
  ) {
    this.grow(count);
  }

  get count(): number {
    return this.#rows.length;
  }

  /** Adds rows up to `count`. */
  grow(count: number): void {
    while (this.count < count) this.#rows.push({ occupant: null, prompt: [], prefixScope: '', kept: 0, usedAt: -1 });
  }

  /** Removes all rows after the first `count`, and all prefixes. No row may be in use. */
  reset(count: number): void {
    this.#rows.length = 0;
    this.grow(count);
  }

  /** Rows that hold tokens, with their number. */
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
   * Chooses a free row for a sequence; there must be one. Steps compute the first rows, as many as `sizeFor` says, so free
   * rows among these come first. Among them, the row with the longest common beginning wins, then the one whose prefix was
   * unused for the longest time. The last token of the prompt is always read, because the next token follows it.
   */
  place(sequence: Occupant): Place {
    const free = this.#rows.flatMap(({ occupant }, i) => (occupant ? [] : [i]));
    const first = free[0] as number;
    const within = sizeFor(Math.max(this.extent, first + 1));
    const common = this.#rows.map((row) => this.resumable(sequence.prompt, commonLength(row, sequence)));
    const near = free.filter((row) => row < within);
    const rank = (row: number) => [-(common[row] as number), this.#of(row).usedAt] as const;
    near.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
    const row = near[0] as number;
    let from = row;
    for (let other = 0; other < this.count; other++)
      if ((common[other] as number) > (common[from] as number)) from = other;
    return { row, from, common: common[from] as number };
  }

  /** Assigns a row to a sequence. `kept` tokens of its prompt are in the row already. */
  take(row: number, occupant: Sequence, kept: number): void {
    const { prompt, prefixScope } = occupant;
    Object.assign(this.#of(row), { occupant, prompt, prefixScope, usedAt: this.#clock++ });
    this.keep(row, kept);
  }

  /** Records how many tokens of its prompt a row holds now. */
  keep(row: number, kept: number): void {
    const of = this.#of(row);
    of.kept = Math.min(kept, of.occupant?.sharable ?? kept);
  }

  release(row: number): void {
    Object.assign(this.#of(row), { occupant: null, usedAt: this.#clock++ });
  }

  /**
   * True if a row will soon hold more of a prompt than any row does now. A sequence that waits for it need not read
   * that part again.
   */
  isBeingRead(sequence: Occupant): boolean {
    const soon = this.#rows.map((row) =>
      this.resumable(
        sequence.prompt,
        commonLength(
          { ...row, kept: row.occupant ? Math.min(row.prompt.length, row.occupant.sharable) : row.kept },
          sequence,
        ),
      ),
    );
    const now = this.#rows.map((row) => this.resumable(sequence.prompt, commonLength(row, sequence)));
    return Math.max(...soon) - Math.max(...now) >= WORTH_WAITING;
  }

  /** Forgets all prefixes. */
  clear(): void {
    for (const row of this.#rows) row.kept = 0;
  }

  /**
   * Pairs of rows to exchange after sequences have left, so that steps compute fewer rows. Empty if that is not
   * possible.
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

/**
 * Number of rows of a recorded step for `rows` sequences. Each size is recorded once, so there are few of them. Sizes are
 * powers of two up to 8, multiples of 8 up to 64, and then multiples of an eighth of the next power of two.
 */
export function sizeFor(rows: number): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(1, rows)));
  const step = Math.min(power, Math.max(8, power / 8));
  return Math.ceil(rows / step) * step;
}

/** Number of prompt tokens that a row holds. The last token is always read, because the next one follows it. */
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
