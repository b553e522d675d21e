/** Options that a call may pass, right and wrong ones. */
// biome-ignore lint/suspicious/noExplicitAny: wrong options have no type.
export type Given = any;

/** A call of a public function that takes options. */
export interface Call {
  /** The options that the function needs. */
  readonly needed: Readonly<Record<string, unknown>>;
  /** An example of each option that is an object with fields of its own. */
  readonly examples: Readonly<Record<string, unknown>>;
  run(options: Given): unknown;
}

/** Calls by the names of their functions. */
export type Calls = Readonly<Record<string, Call>>;

export const call = (run: Call['run'], needed: Call['needed'] = {}, examples: Call['examples'] = {}): Call => ({
  run,
  needed,
  examples,
});

/** Reads a stream to its end. */
export async function each(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

export const tools = [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } }];
export const messages = [{ role: 'user', content: 'the cat' }];
export const reads = { responseFormat: { regex: 'a+' } };
export const dropout = { p: 0.5, seed: 1 };
export const special = { pad: '<p>', bos: '<s>', eos: '</s>', unk: '<u>', additional: ['<a>'] };
