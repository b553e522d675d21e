/** Where a pattern is in a text, in UTF-16 units. */
export type Span = readonly [start: number, end: number];

/** What is done with the places where a pattern is found. */
export type SplitBehavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

/** What stands for a part of a text. */
export interface Edit {
  readonly characters: readonly string[];
  /**
   * Of each character 1 if it is put in, in the place of the one before it; else it stands for the next of the old ones,
   * of which as many more are left out as this is below 0.
   */
  readonly changes: readonly number[];
  /** How many of the old ones are left out at first. Default 0. */
  readonly skipped?: number;
}

/** Of each UTF-16 unit of a text. */
interface Places {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** Of the matches of a pattern. */
interface MadeEdit {
  readonly start: number;
  readonly end: number;
  readonly old: readonly string[];
  readonly edit: Edit;
}

/**
 * A part of a text and what steps of a tokenizer made of it, with the place of each character in the text, as Rust's
 * `tokenizers` keeps it: what was put in has the place of the character before it.
 */
export class AlignedText {
  private constructor(
    public text: string,
    /** Where the part is in the whole text, in UTF-16 units. */
    readonly start: number,
    readonly end: number,
    /** Null while nothing has changed; shared between slices, which begin at `from`. */
    private places: Places | null,
    private from: number,
  ) {}

  static of(text: string): AlignedText {
    return new AlignedText(text, 0, text.length, null, 0);
  }

  slice(start: number, end: number): AlignedText {
    const text = this.text.slice(start, end);
    return new AlignedText(text, this.startOf(start), this.endOf(end - 1), this.places, this.from + start);
  }

  /** Parts of it, without those where `matches` are if they are removed; none of them is empty. */
  split(matches: readonly Span[], behavior: SplitBehavior, inverted = false): AlignedText[] {
    if (matches.length === 0 && !inverted) return this.places === null ? [this] : [this.slice(0, this.text.length)];
    const parts = partsBetween(matches, this.text.length, inverted);
    const kept = behavior === 'Removed' ? parts.filter(({ isMatch }) => !isMatch) : joined(parts, behavior);
    return kept.filter(({ start, end }) => start < end).map(({ start, end }) => this.slice(start, end));
  }

  /** Edits what is at `matches`, in their order. */
  edit(matches: readonly Span[], make: (text: string) => Edit): void {
    if (matches.length === 0) return;
    const edits = matches.map(([start, end]) => {
      const old = this.text.slice(start, end);
      return { start, end, old: Array.from(old), edit: make(old) };
    });
    const isMoved = edits.some(({ edit, old }) => !keepsPlaces(edit, old));
    let text = '';
    let done = 0;
    for (const { start, end, edit } of edits) {
      text += this.text.slice(done, start) + edit.characters.join('');
      done = end;
    }
    text += this.text.slice(done);
    if (isMoved) [this.places, this.from] = [this.#editedPlaces(edits, text.length), 0];
    this.text = text;
  }

  #editedPlaces(edits: readonly MadeEdit[], length: number): Places {
    const places: Places = { starts: new Int32Array(length), ends: new Int32Array(length) };
    let at = 0;
    let done = 0;
    const keep = (end: number) => {
      for (; done < end; done++, at++) {
        places.starts[at] = this.startOf(done);
        places.ends[at] = this.endOf(done);
      }
    };
    for (const made of edits) {
      keep(made.start);
      at = this.#place(made, places, at);
      done = made.end;
    }
    keep(this.text.length);
    return places;
  }

  /** Writes the places of the characters of an edit from `at` on, and returns where they end. */
  #place({ start, old, edit }: MadeEdit, { starts, ends }: Places, at: number): number {
    const { characters, changes, skipped = 0 } = edit;
    let next = 0;
    let unit = start;
    const pass = (count: number) => {
      for (const until = Math.min(next + count, old.length); next < until; next++) unit += (old[next] as string).length;
    };
    pass(skipped);
    let end = at;
    for (const [i, character] of characters.entries()) {
      const change = changes[i] as number;
      const place = Math.min(change > 0 ? unit - 1 : unit, this.text.length - 1);
      const from = end;
      end += character.length;
      starts.fill(place < 0 ? this.start : this.startOf(place), from, end);
      ends.fill(place < 0 ? this.start : this.endOf(place), from, end);
      if (change <= 0) pass(1 - change);
    }
    return end;
  }

  /** Where the character of a unit of `text` begins in the whole text. */
  startOf(unit: number): number {
    if (this.places !== null) return this.places.starts[this.from + unit] as number;
    return this.start + unit - Number(isLow(this.text.charCodeAt(unit)));
  }

  /** And where it ends. */
  endOf(unit: number): number {
    if (this.places !== null) return this.places.ends[this.from + unit] as number;
    return this.start + unit + 1 + Number(isLow(this.text.charCodeAt(unit + 1)));
  }
}

function keepsPlaces({ characters, changes, skipped = 0 }: Edit, old: readonly string[]): boolean {
  if (skipped > 0 || characters.length !== old.length) return false;
  return characters.every((character, i) => changes[i] === 0 && character.length === old[i]?.length);
}

/** Of a surrogate pair, the second one: texts have no others. */
const isLow = (unit: number) => unit >= 0xdc00 && unit < 0xe000;

interface TextPart {
  readonly start: number;
  readonly end: number;
  readonly isMatch: boolean;
}

/** Matches, which follow each other, and what is between them. */
function partsBetween(matches: readonly Span[], length: number, inverted: boolean): TextPart[] {
  const parts: TextPart[] = [];
  let done = 0;
  for (const [start, end] of matches) {
    if (done < start) parts.push({ start: done, end: start, isMatch: inverted });
    parts.push({ start, end, isMatch: !inverted });
    done = end;
  }
  if (done < length) parts.push({ start: done, end: length, isMatch: inverted });
  return parts;
}

function joined(parts: readonly TextPart[], behavior: SplitBehavior): TextPart[] {
  if (behavior === 'Isolated') return [...parts];
  const backwards = behavior === 'MergedWithNext';
  const found: TextPart[] = [];
  let before = false; // whether the last part was a match
  for (const part of backwards ? parts.toReversed() : parts) {
    const last = found.at(-1);
    const isJoined = behavior === 'Contiguous' ? part.isMatch === before : part.isMatch && !before;
    before = part.isMatch;
    if (!isJoined || last === undefined) found.push(part);
    else found[found.length - 1] = backwards ? { ...last, start: part.start } : { ...last, end: part.end };
  }
  return backwards ? found.reverse() : found;
}
