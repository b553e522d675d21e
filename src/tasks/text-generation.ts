import { anyOf, checkOptions, describeValue, isObject, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/generate-options.js';
import { DEFAULT_NEW_TOKENS, TOKENS } from '../generate/option-table.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import { checkMessages } from '../tokenizers/chat-options.js';
import type { ChatMessage, ChatTools } from '../tokenizers/chat-template.js';
import { callOptionKinds, inBatches } from './batches.js';
import { answerText, hasChannels } from './chat/answer-stream.js';
import { withReadyCalls } from './chat/call-arguments.js';
import { withoutReasoning } from './chat/reasoning.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import { HostTensor } from './host-tensor.js';
import { STOPPING, type StoppingCriteria, stopOf } from './stopping-criteria.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import { tokenizerOf } from './text-inputs.js';
import { STREAMER, type Streamer } from './text-streamer.js';

/**
 * Options of a call. Options of `generate` have two names each, such as `maxNewTokens` and transformers.js's
 * `max_new_tokens`.
 */
export interface TextGenerationOptions extends CallOptions, Omit<GenerationArguments, 'stopTokens' | 'stop_tokens'> {
  /** True returns the prompt before the generated text. Default: true; conversations always keep it. */
  return_full_text?: boolean | undefined;
  /** True begins the prompt with the tokenizer's start token. Default: true; a chat template adds its own. */
  add_special_tokens?: boolean | undefined;
  /** Tools for the chat template. Default: none. */
  tools?: ChatTools | null | undefined;
  /** Documents for the chat template. Default: none. */
  documents?: readonly Readonly<Record<string, unknown>>[] | null | undefined;
  /** Another template, or the name of one of the tokenizer's templates. Default: the tokenizer's default template. */
  chat_template?: string | null | undefined;
  /** Further variables of the chat template, such as `{ enable_thinking: false }`. Default: none. */
  tokenizer_encode_kwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Receives tokens as they are generated, for a single prompt without beams; see `TextStreamer`. */
  streamer?: Streamer | undefined;
  /** Conditions that end each text: `new InterruptableStoppingCriteria()`, or a list. Default: none. */
  stopping_criteria?: StoppingCriteria | readonly StoppingCriteria[] | undefined;
  /** Tokens that end a text. Default: the model's. */
  eos_token_id?: number | readonly number[] | undefined;
  /** True adds `score` and the log-probability of each token. Default: false. */
  output_scores?: boolean | undefined;
  /** True adds the attention maps of every layer, [heads, tokens, tokens]. Default: false. */
  output_attentions?: boolean | undefined;
}

export interface GeneratedText<Text = string> {
  /** The text, or the conversation followed by the answer. Its reasoning, if there is any, is `reasoning_content`. */
  readonly generated_text: Text;
  /** With `output_scores`: the sum of log-probabilities, divided by the length to the power of `length_penalty`. */
  readonly score?: number;
  /** With `output_scores`: the generated tokens. */
  readonly tokens?: readonly number[];
  /** With `output_scores`: log-probability of each token, and of the end token if there is one. */
  readonly token_log_probabilities?: readonly number[];
  /** With `output_attentions`: attention maps of each layer, over the prompt and the generated tokens. */
  readonly attentions?: readonly HostTensor[];
}

export type ChatMessages = readonly ChatMessage[];

/**
 * Continues texts, or answers conversations by the model's chat template. Each input gives an array of
 * `num_return_sequences` texts, by default one. With sampling, results also depend on `batchSize`.
 */
export type TextGeneration = <Inputs extends string | ChatMessages | readonly string[] | readonly ChatMessages[]>(
  inputs: Inputs,
  options?: TextGenerationOptions,
) => Promise<
  Inputs extends string
    ? GeneratedText[]
    : Inputs extends readonly string[]
      ? GeneratedText[][]
      : Inputs extends readonly ChatMessages[]
        ? GeneratedText<ChatMessage[]>[][]
        : GeneratedText<ChatMessage[]>[]
>;

const TASK = 'text-generation';
const OWN = [
  'return_full_text',
  'add_special_tokens',
  'tools',
  'documents',
  'chat_template',
  'tokenizer_encode_kwargs',
  'streamer',
  'stopping_criteria',
  'eos_token_id',
  'output_scores',
  'output_attentions',
  'signal',
  'onProgress',
  'batchSize',
] as const;
type OwnName = (typeof OWN)[number];

export const textGeneration: Task<TextGeneration> = {
  head: 'language-model',
  needs: { stacks: 'decoder' },
  create: (context) =>
    (async (input: unknown, options: TextGenerationOptions = {}) => {
      checkOptions(TASK, options);
      const generate = generationArguments(TASK, context.model, options, OWN);
      checkOwn(options);
      const [inputs, isBatch] = inputsOf(input);
      if (options.streamer && inputs.length !== 1)
        throw new ArgumentError(`${TASK}: a streamer shows one text, but there are ${inputs.length}`);
      const prompts = await Promise.all(inputs.map((input) => promptOf(context, input, options)));
      const lengthOf = ({ ids }: Prompt) => ids.length;
      let first = 0;
      const run = async (batch: readonly Prompt[]) => {
        const seed = (generate.seed ?? 0) + first;
        first += batch.length;
        return write(context, batch, { ...lengthsOf(context.model, batch, generate), seed }, options);
      };
      const results = await inBatches(prompts, lengthOf, run, options);
      return isBatch ? results : results[0];
    }) as TextGeneration,
};

/** Checks the options that `generationArguments` leaves to the task. */
function checkOwn(options: TextGenerationOptions): void {
  const pipelineOptions = Object.fromEntries(OWN.map((name) => [name, options[name]])) as Pick<
    TextGenerationOptions,
    OwnName
  >;
  checkOptions(TASK, pipelineOptions, {
    ...callOptionKinds,
    return_full_text: 'boolean',
    add_special_tokens: 'boolean',
    tools: orNull('array'), // applyChatTemplate checks each
    documents: orNull('array'),
    chat_template: orNull('string'),
    tokenizer_encode_kwargs: 'object',
    streamer: STREAMER,
    stopping_criteria: STOPPING,
    eos_token_id: { ...anyOf('whole', TOKENS), expected: 'a token or several' },
    output_scores: 'boolean',
    output_attentions: 'boolean',
  });
}

interface Prompt {
  readonly input: string | ChatMessages;
  readonly ids: readonly number[];
}

function inputsOf(input: unknown): [inputs: (string | ChatMessages)[], isBatch: boolean] {
  if (typeof input === 'string') return [[input], false];
  if (!Array.isArray(input))
    throw new ArgumentError(`${TASK}: the input is ${describeValue(input)}, expected text or messages, one or several`);
  const [first] = input as readonly unknown[];
  if (isObject(first)) {
    checkMessages(TASK, input);
    return [[input], false];
  }
  // All items are of the first one's kind: texts or conversations.
  for (const [i, item] of input.entries()) {
    const name = `inputs[${i}]`;
    if (Array.isArray(first) && Array.isArray(item)) checkMessages(TASK, item, (j) => `${name}[${j}]`);
    else if (typeof item !== 'string' || Array.isArray(first))
      throw new ArgumentError(
        `${TASK}: ${name} is ${describeValue(item)}, expected ${Array.isArray(first) ? 'messages' : 'text'}`,
      );
  }
  return [input, true];
}

async function promptOf(
  context: TaskContext,
  input: string | ChatMessages,
  options: TextGenerationOptions,
): Promise<Prompt> {
  const tokenizer = tokenizerOf(context);
  if (typeof input === 'string') {
    const addSpecialTokens = options.add_special_tokens ?? true;
    const { inputIds } = await tokenizer.encodeBatchAsync([input], { addSpecialTokens, returnOffsets: false });
    return { input, ids: inputIds[0] as number[] };
  }
  const { tools, documents, chat_template: template, tokenizer_encode_kwargs: variables } = options;
  const chatTemplate = template ?? undefined;
  const messages = withReadyCalls(input);
  const ids = await tokenizer.applyChatTemplate(messages, {
    tools,
    documents,
    chatTemplate,
    variables,
    addGenerationPrompt: true,
  });
  return { input, ids };
}

/** Sets the default number of tokens of transformers.js, limited by the model's context. */
function lengthsOf(model: LoadedModel, batch: readonly Prompt[], options: GenerateOptions): GenerateOptions {
  if (options.maxNewTokens !== undefined || options.maxLength !== undefined) return options;
  const longest = batch.reduce((max, { ids }) => Math.max(max, ids.length), 0);
  return { ...options, maxNewTokens: Math.max(1, Math.min(DEFAULT_NEW_TOKENS, model.maxLength - longest)) };
}

async function write(
  context: TaskContext,
  batch: readonly Prompt[],
  generate: GenerateOptions,
  options: TextGenerationOptions,
): Promise<GeneratedText<unknown>[][]> {
  const { streamer, stopping_criteria: criteria, eos_token_id: end, signal } = options;
  const { output_attentions: outputAttentions } = options;
  const only = batch.length === 1 ? batch[0] : undefined;
  const stop = criteria === undefined ? generate.stop : stopOf(criteria, only?.ids ?? [], generate.stop);
  const onToken = streamer && (({ token }: TokenEvent) => streamer.put([[token]]));
  streamer?.put([batch[0]?.ids ?? []]);
  const result = await context.model.generate(
    batch.map(({ ids }) => ids),
    { ...generate, stop, ...(end !== undefined && { stopTokens: [end].flat() }), signal, onToken, outputAttentions },
  );
  streamer?.end();
  const attentions = result.attentions ? await attentionsOf(batch, result) : [];
  const texts: GeneratedText<unknown>[][] = batch.map(() => []);
  for (const [i, tokens] of result.sequences.entries()) {
    const index = result.inputs[i] as number;
    texts[index]?.push({
      generated_text: textOf(context, batch[index] as Prompt, tokens, options),
      ...(options.output_scores && {
        score: result.scores[i] as number,
        tokens,
        token_log_probabilities: result.logProbabilities[i] as number[],
      }),
      ...(outputAttentions && { attentions: attentions[i] as HostTensor[] }),
    });
  }
  return texts;
}

/** Tokens at the end of a prompt that may be the mark that begins reasoning. */
const PROMPT_END = 8;

/** The generated text, with the prompt or the conversation if requested. */
function textOf(
  context: TaskContext,
  { input, ids }: Prompt,
  tokens: readonly number[],
  options: TextGenerationOptions,
): string | ChatMessage[] {
  const tokenizer = tokenizerOf(context);
  // Decoded alone, the first token could be written differently.
  const written = tokenizer.decode([...ids, ...tokens]).slice(tokenizer.decode(ids).length);
  if (typeof input !== 'string') {
    const isOpen = /<think>\s*$/.test(tokenizer.decode(ids.slice(-PROMPT_END), { skipSpecial: false }));
    const answer = hasChannels(tokenizer) ? answerText(tokenizer, tokens, true) : written;
    const { text, reasoning } = withoutReasoning(answer, isOpen);
    return [...input, { role: 'assistant', content: text, ...(reasoning !== '' && { reasoning_content: reasoning }) }];
  }
  return (options.return_full_text ?? true) ? input + written : written;
}

/** Attention maps of each sequence and layer, [heads, tokens, tokens], without padding. */
async function attentionsOf(
  batch: readonly Prompt[],
  { attentions, inputs, logProbabilities }: GenerateResult,
): Promise<HostTensor[][]> {
  const layers = attentions?.decoder ?? [];
  try {
    const values = await Promise.all(layers.map((layer) => layer.data()));
    return inputs.map((index, i) => {
      const read = Math.max(1, batch[index]?.ids.length ?? 0) + (logProbabilities[i]?.length ?? 0) - 1;
      return layers.map(({ shape }, l) => {
        const [, heads, rows, columns] = shape as [number, number, number, number];
        const matrix = new Float32Array(heads * read * read);
        for (let row = 0; row < heads * read; row++) {
          const [head, query] = [Math.floor(row / read), row % read];
          const from = ((i * heads + head) * rows + query) * columns;
          matrix.set((values[l] as Float32Array).subarray(from, from + read), row * read);
        }
        return new HostTensor(matrix, [heads, read, read]);
      });
    });
  } finally {
    for (const tensor of layers) tensor.dispose();
  }
}
