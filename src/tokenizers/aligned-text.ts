/** Start and end of a match in a text, in UTF-16 units. */
export type Span = readonly [start: number, end: number];

/** The treatment of matches by a split. The names are those of tokenizer.json. */
export type SplitBehavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

/** Replacement of a part of a text. */
export interface Edit {
  readonly characters: readonly string[];
  /**
   * One number n for each new character. If n is 1, the character is inserted and belongs to the one before it. If n is
   * 0 or less, the character replaces the next old one, and −n further old characters are dropped.
   */
  readonly changes: readonly number[];
  /** Number of old characters that are dropped at the beginning. Default 0. */
  readonly skipped?: number;
}

/** Position of each UTF-16 unit of the text in the original text. */
interface Places {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** An edit with the match that it replaces. */
interface MadeEdit {
  readonly start: number;
  readonly end: number;
  readonly old: readonly string[];
  readonly edit: Edit;
}

/**
 * A part of a text after some steps of a tokenizer. It keeps the position of each character in the original text. An
 * inserted character has the position of the character before it, as in Rust's `tokenizers`.
 */
export class AlignedText {
  private constructor(
    public text: string,
    /** Start of the part in the original text, in UTF-16 units. */
    readonly start: number,
    readonly end: number,
    /** Null while nothing has changed. Slices share it, each with its own offset `from`. */
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

  /** Splits the part at `matches`, which `behavior` keeps, merges or removes. Empty parts are dropped. */
  split(matches: readonly Span[], behavior: SplitBehavior, inverted = false): AlignedText[] {
    if (matches.length === 0 && !inverted) return this.places === null ? [this] : [this.slice(0, this.text.length)];
    const parts = partsBetween(matches, this.text.length, inverted);
    const kept = behavior === 'Removed' ? parts.filter(({ isMatch }) => !isMatch) : joined(parts, behavior);
    return kept.filter(({ start, end }) => start < end).map(({ start, end }) => this.slice(start, end));
  }

  /** Replaces the text at `matches`, in ascending order, by the results of `make`. */
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

  /** Writes the positions of an edit's characters, beginning at index `at`. Returns the index after the last one. */
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

  /** Start of the character that contains a unit of `text`, in the original text. */
  startOf(unit: number): number {
    if (this.places !== null) return this.places.starts[this.from + unit] as number;
    return this.start + unit - Number(isLow(this.text.charCodeAt(unit)));
  }

  /** End of the character that contains a unit of `text`, in the original text. */
  endOf(unit: number): number {
    if (this.places !== null) return this.places.ends[this.from + unit] as number;
    return this.start + unit + 1 + Number(isLow(this.text.charCodeAt(unit + 1)));
  }
}

function keepsPlaces({ characters, changes, skipped = 0 }: Edit, old: readonly string[]): boolean {
  if (skipped > 0 || characters.length !== old.length) return false;
  return characters.every((character, i) => changes[i] === 0 && character.length === old[i]?.length);
}

/** True for the second unit of a surrogate pair. Texts have no unpaired ones. */
const isLow = (unit: number) => unit >= 0xdc00 && unit < 0xe000;

interface TextPart {
  readonly start: number;
  readonly end: number;
  readonly isMatch: boolean;
}

/** Returns the matches and the text between them, in order. */
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
  let before = false; // true if the last part was a match
  for (const part of backwards ? parts.toReversed() : parts) {
    const last = found.at(-1);
    const isJoined = behavior === 'Contiguous' ? part.isMatch === before : part.isMatch && !before;
    before = part.isMatch;
    if (!isJoined || last === undefined) found.push(part);
    else found[found.length - 1] = backwards ? { ...last, start: part.start } : { ...last, end: part.end };
  }
  return backwards ? found.reverse() : found;
}
