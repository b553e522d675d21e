// Translates the reasoning of Mistral's answers (Magistral, Ministral 3) to the tags of other models.

/** Special tokens of reasoning and their translations. The others here end or fill an answer. */
const MARKS: Readonly<Record<string, string>> = {
  '[THINK]': '<think>',
  '[/THINK]': '</think>',
  '</s>': '',
  '<pad>': '',
};
const names = Object.keys(MARKS);
const pattern = new RegExp(names.map((name) => name.replace(/[[\]/]/g, '\\$&')).join('|'), 'g');

/** Translates an answer that arrives in pieces, with its special tokens. */
export class MistralFilter {
  #held = '';

  push(piece: string): string {
    const text = (this.#held + piece).replace(pattern, (mark) => MARKS[mark] as string);
    const length = Math.max(0, ...names.map((name) => begunAtEnd(text, name)));
    this.#held = text.slice(text.length - length);
    return text.slice(0, text.length - length);
  }

  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }
}

/** Length of the end of `text` with which a mark may begin. */
function begunAtEnd(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--)
    if (mark.startsWith(text.slice(-length))) return length;
  return 0;
}
