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
  /** Number of old characters that are dropped at the beginning. Default: 0. */
  readonly skipped?: number;
}

/** Position of each UTF-16 unit of the text in the original text. */
interface Spans {
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
    private spans: Spans | null,
    private from: number,
  ) {}

  static of(text: string): AlignedText {
    return new AlignedText(text, 0, text.length, null, 0);
  }

  slice(start: number, end: number): AlignedText {
    const text = this.text.slice(start, end);
    return new AlignedText(text, this.startOf(start), this.endOf(end - 1), this.spans, this.from + start);
  }

  /** Splits the part at `matches`, which `behavior` keeps, merges or removes. Empty parts are dropped. */
  split(matches: readonly Span[], behavior: SplitBehavior, inverted = false): AlignedText[] {
    if (matches.length === 0 && !inverted) return this.spans === null ? [this] : [this.slice(0, this.text.length)];
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
    if (isMoved) [this.spans, this.from] = [this.#editedSpans(edits, text.length), 0];
    this.text = text;
  }

  #editedSpans(edits: readonly MadeEdit[], length: number): Spans {
    const spans: Spans = { starts: new Int32Array(length), ends: new Int32Array(length) };
    let index = 0;
    let done = 0;
    const keep = (end: number) => {
      for (; done < end; done++, index++) {
        spans.starts[index] = this.startOf(done);
        spans.ends[index] = this.endOf(done);
      }
    };
    for (const made of edits) {
      keep(made.start);
      index = this.#setSpans(made, spans, index);
      done = made.end;
    }
    keep(this.text.length);
    return spans;
  }

  /**
   * Writes the positions of an edit's characters, beginning at index `position`. Returns the index after the last one.
   */
  #setSpans({ start, old, edit }: MadeEdit, { starts, ends }: Spans, position: number): number {
    const { characters, changes, skipped = 0 } = edit;
    let next = 0;
    let unit = start;
    const pass = (count: number) => {
      for (const until = Math.min(next + count, old.length); next < until; next++) unit += (old[next] as string).length;
    };
    pass(skipped);
    let end = position;
    for (const [i, character] of characters.entries()) {
      const change = changes[i] as number;
      const source = Math.min(change > 0 ? unit - 1 : unit, this.text.length - 1);
      const from = end;
      end += character.length;
      starts.fill(source < 0 ? this.start : this.startOf(source), from, end);
      ends.fill(source < 0 ? this.start : this.endOf(source), from, end);
      if (change <= 0) pass(1 - change);
    }
    return end;
  }

  /** Start of the character that contains a unit of `text`, in the original text. */
  startOf(unit: number): number {
    if (this.spans !== null) return this.spans.starts[this.from + unit] as number;
    return this.start + unit - Number(isLow(this.text.charCodeAt(unit)));
  }

  /** End of the character that contains a unit of `text`, in the original text. */
  endOf(unit: number): number {
    if (this.spans !== null) return this.spans.ends[this.from + unit] as number;
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
