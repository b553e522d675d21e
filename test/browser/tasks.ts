// Long tasks of a page, as the browser reports them.

/** Tasks that a page should not have take 50 ms or more. The limit has room for slow machines. */
export const MAX_TASK_MS = 100;

/** Duration of the longest task while `work` goes on, in milliseconds; 0 if none took 50 ms. */
export async function longestTask(work: () => Promise<unknown>): Promise<number> {
  const tasks: number[] = [];
  const note = (entries: PerformanceEntryList) => tasks.push(...entries.map(({ duration }) => duration));
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ type: 'longtask' });
  await new Promise((resolve) => setTimeout(resolve, 100)); // tasks that began before do not count
  note(observer.takeRecords());
  tasks.length = 0;
  await work();
  await new Promise((resolve) => setTimeout(resolve, 100));
  note(observer.takeRecords());
  observer.disconnect();
  return Math.max(0, ...tasks);
}

/** Blocks the page. */
export function busyFor(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** Words of letters, all different: i in base 26 with letters as digits. */
const word = (i: number): string => (i < 26 ? '' : word(Math.floor(i / 26))) + String.fromCharCode(97 + (i % 26));

/** A tokenizer.json with 5 special tokens and this number of words. */
export function wordPieceJson(words: number): string {
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const tokens = [...special, ...Array.from({ length: words }, (_, i) => (i % 5 === 0 ? `##${word(i)}` : word(i)))];
  const flags = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
  return JSON.stringify({
    version: '1.0',
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    },
  });
}
