/** The properties of a sequence that matter for choosing its row. */
export interface Occupant {
  /** Tokens of the prompt. */
  readonly prompt: readonly number[];
  /** Number of tokens whose keys and values are in the row once all queued commands have run. */
  readonly read: number;
  /** Number of leading prompt tokens that other sequences may copy. */
  readonly sharable: number;
  /** Sequences of one scope share prefixes. */
  readonly prefixScope: string;
}

interface Row<Sequence> {
  occupant: Sequence | null;
  /**
   * Prompt and scope of the latest occupant. The row has the keys and values of the prompt's first `prefixLength`
   * tokens.
   */
  prompt: readonly number[];
  prefixScope: string;
  prefixLength: number;
  usedAt: number;
}

/** The tokens of a row that other sequences can copy. */
type Prefix = Pick<Row<unknown>, 'prompt' | 'prefixScope' | 'prefixLength'>;

const sharesAll = (_prompt: readonly number[], length: number, _promptLength: number) => length;

/**
 * Minimum length in tokens of a common prefix that is worth waiting for, because reading it again would take longer.
 */
const MIN_PREFIX_TO_WAIT = 16;

/** The row that was chosen for a new sequence. */
export interface RowChoice {
  readonly row: number;
  /** The row with the longest common prefix. It can be `row` itself. */
  readonly from: number;
  /** Length of the common prefix in tokens. */
  readonly common: number;
}

/**
 * The rows of a decoder state: the sequence in each row and the prompt prefix that it holds. A freed row keeps its
 * prefix until another sequence needs the row.
 */
export class Rows<Sequence extends Occupant> {
  readonly #rows: Row<Sequence>[] = [];
  #clock = 0;

  /**
   * `resumable(prompt, length, promptLength)` returns the greatest number of tokens, at most `length`, that `prompt`
   * can share with a prompt of `promptLength` tokens. Default: `length`.
   */
  constructor(
    count: number,
    private readonly resumable: typeof sharesAll = sharesAll,
  ) {
    this.grow(count);
  }

  get count(): number {
    return this.#rows.length;
  }

  /** Adds rows up to `count`. */
  grow(count: number): void {
    while (this.count < count)
      this.#rows.push({ occupant: null, prompt: [], prefixScope: '', prefixLength: 0, usedAt: -1 });
  }

  /** Removes all rows after the first `count`, and all prefixes. No row may be in use. */
  reset(count: number): void {
    this.#rows.length = 0;
    this.grow(count);
  }

  /** The rows that hold tokens, with the number of tokens. */
  get rowLengths(): [row: number, tokens: number][] {
    const lengths = this.#rows.map(({ occupant, prefixLength }, i): [number, number] => [
      i,
      occupant ? occupant.read : prefixLength,
    ]);
    return lengths.filter(([, tokens]) => tokens > 0);
  }

  /** Rows in use, in order. */
  get active(): [row: number, sequence: Sequence][] {
    return this.#rows.flatMap(({ occupant }, i) => (occupant ? [[i, occupant] as [number, Sequence]] : []));
  }

  get used(): number {
    return this.#rows.reduce((sum, { occupant }) => sum + Number(occupant !== null), 0);
  }

  /** Number of rows up to and including the last one in use. */
  get extent(): number {
    return 1 + this.#rows.findLastIndex(({ occupant }) => occupant !== null);
  }

  occupant(row: number): Sequence | null {
    return this.#row(row).occupant;
  }

  /**
   * Chooses a free row for a sequence; there must be one. Steps compute the first `sizeFor` rows in any case, so free
   * rows among them are preferred. Among these, the row with the longest common prefix wins, then the one that was
   * unused for the longest time. The last prompt token is never shared: it must be read to get the logits after it.
   */
  choose(sequence: Occupant): RowChoice {
    const free = this.#rows.flatMap(({ occupant }, i) => (occupant ? [] : [i]));
    const first = free[0] as number;
    const computedRows = sizeFor(Math.max(this.extent, first + 1));
    const common = this.#rows.map((row) => this.#sharedLength(row, sequence));
    const candidates = free.filter((row) => row < computedRows);
    const rank = (row: number) => [-(common[row] as number), this.#row(row).usedAt] as const;
    candidates.sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
    const row = candidates[0] as number;
    let from = row;
    for (let other = 0; other < this.count; other++)
      if ((common[other] as number) > (common[from] as number)) from = other;
    return { row, from, common: common[from] as number };
  }

  /** Assigns a row to a sequence. The row already holds the first `prefixLength` tokens of its prompt. */
  assign(row: number, occupant: Sequence, prefixLength: number): void {
    const { prompt, prefixScope } = occupant;
    Object.assign(this.#row(row), { occupant, prompt, prefixScope, usedAt: this.#clock++ });
    this.setPrefixLength(row, prefixLength);
  }

  /** Records how many tokens of its prompt a row holds now. */
  setPrefixLength(row: number, prefixLength: number): void {
    const entry = this.#row(row);
    entry.prefixLength = Math.min(prefixLength, entry.occupant?.sharable ?? prefixLength);
  }

  release(row: number): void {
    Object.assign(this.#row(row), { occupant: null, usedAt: this.#clock++ });
  }

  /**
   * True if a running sequence reads a longer common prefix than any row holds now. A sequence that waits for it can
   * copy that prefix instead of reading it.
   */
  isPrefixBeingRead(sequence: Occupant): boolean {
    const sharedLater = this.#rows.map((row) => {
      const prefixLength = row.occupant ? Math.min(row.prompt.length, row.occupant.sharable) : row.prefixLength;
      return this.#sharedLength({ ...row, prefixLength }, sequence);
    });
    const sharedNow = this.#rows.map((row) => this.#sharedLength(row, sequence));
    return Math.max(...sharedLater) - Math.max(...sharedNow) >= MIN_PREFIX_TO_WAIT;
  }

  /** Forgets all prefixes. */
  clear(): void {
    for (const row of this.#rows) row.prefixLength = 0;
  }

  /**
   * Returns the pairs of rows to swap after sequences have left, so that steps compute fewer rows. Empty if no swap
   * helps.
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
      [this.#rows[row], this.#rows[other]] = [this.#row(other), this.#row(row)];
    }
    return pairs;
  }

  /** Number of prompt tokens that a sequence can copy from a row. */
  #sharedLength(row: Prefix, sequence: Occupant): number {
    return this.resumable(sequence.prompt, sharedPrefixLength(row, sequence), row.prompt.length);
  }

  #row(row: number): Row<Sequence> {
    return this.#rows[row] as Row<Sequence>;
  }
}

/**
 * Rounds up to the number of rows of a recorded step. There are few sizes, because each needs a recording. Sizes are
 * powers of two up to 8, then multiples of 8 up to 64, then multiples of an eighth of the next power of two.
 */
export function sizeFor(rows: number): number {
  const power = 2 ** Math.ceil(Math.log2(Math.max(1, rows)));
  const step = Math.min(power, Math.max(8, power / 8));
  return Math.ceil(rows / step) * step;
}

/** Number of prompt tokens that a row has in common with a sequence, without the last one; see `reusableLength`. */
function sharedPrefixLength(row: Prefix, { prompt, prefixScope }: Occupant): number {
  if (row.prefixScope !== prefixScope) return 0;
  const max = Math.min(row.prefixLength, prompt.length - 1);
  let length = 0;
  while (length < max && row.prompt[length] === prompt[length]) length++;
  return length;
}
