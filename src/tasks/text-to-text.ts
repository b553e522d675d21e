// Text generation by encoder–decoders, such as translation and summarization.

import { checkOptions } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { callOptionKinds, inBatches } from './batches.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import { type TaskParameters, taskParameters, withTaskParameters } from './task-parameters.js';
import { checkFits, encode, type TruncationOptions, textsOf, tokenizerOf } from './text-inputs.js';
import { STREAMER, type Streamer } from './text-streamer.js';

export interface TextToTextOptions extends CallOptions, TruncationOptions, GenerationArguments {
  /** Receives tokens as they are generated, for a single text without beams; see `TextStreamer`. */
  streamer?: Streamer | undefined;
  /** True adds `score` and the log-probability of each token. Default: false. */
  output_scores?: boolean | undefined;
}

/** Output for a text. */
export interface ScoredText {
  readonly text: string;
  readonly scores: WrittenScores | Record<never, never>;
}

/** With `output_scores`. */
export interface WrittenScores {
  /** The sum of log-probabilities, divided by the length to the power of `length_penalty`. */
  readonly score: number;
  readonly tokens: readonly number[];
  /** Log-probability of each token, and of the token that ended the text, if there was one. */
  readonly token_log_probabilities: readonly number[];
}

/** A text-to-text task: its encoding of texts, and its options. */
export interface TextToText {
  /** Tokens of texts, as the encoder reads them. */
  readonly encode: (texts: readonly string[]) => Promise<number[][]>;
  /** Defaults of the task. Options of a call take precedence. */
  readonly parameters: TaskParameters;
  /** Forced options. */
  readonly forced: GenerateOptions;
}

const OWN = ['signal', 'onProgress', 'batchSize', 'truncate', 'streamer', 'output_scores'] as const;

/** Separates the options of a call from those for `generate`. `ownNames`: names of the task's own options. */
export function textToTextArguments<Options extends TextToTextOptions>(
  { task, model }: TaskContext,
  options: Options,
  ownNames: readonly (keyof Options & string)[] = [],
): GenerateOptions {
  if (model.encoder === null || model.decoder === null)
    throw new FormatError(`${task}: the model is ${model.config.model_type}, expected an encoder and a decoder`);
  const { output_scores, streamer, truncate, signal, onProgress, batchSize } = checkOptions(task, options);
  const kinds = { output_scores: 'boolean', streamer: STREAMER, truncate: 'boolean', ...callOptionKinds } as const;
  checkOptions(task, { output_scores, streamer, truncate, signal, onProgress, batchSize }, kinds);
  return generationArguments(task, model, options, [...OWN, ...ownNames]);
}

/** Generates the outputs for each text. The `num_return_sequences` outputs of a text are consecutive. */
export async function rewrite(
  context: TaskContext,
  texts: readonly string[],
  { encode, parameters, forced }: TextToText,
  generate: GenerateOptions,
  options: TextToTextOptions,
): Promise<ScoredText[]> {
  const { model, task } = context;
  const { streamer, output_scores: scored, signal } = options;
  if (streamer && texts.length !== 1)
    throw new ArgumentError(`${task}: a streamer shows one text, but there are ${texts.length}`);
  const tokenizer = tokenizerOf(context);
  await checkFits(
    context,
    texts.map((text) => [parameters.prefix + text]),
    options,
  );
  const rows = await encode(texts);
  const empty = rows.findIndex(({ length }) => length === 0);
  if (empty >= 0) throw new ArgumentError(`${task}: text ${empty} is empty`);
  const all = { ...withTaskParameters(parameters.generate, generate), ...forced, signal };
  const written = await inBatches(
    rows,
    ({ length }) => length,
    async (batch): Promise<ScoredText[][]> => {
      streamer?.put([[]]); // there is no prompt
      const result = await model.generate(batch, {
        ...all,
        onToken: streamer && (({ token }) => streamer.put([[token]])),
      });
      streamer?.end();
      const found: ScoredText[][] = batch.map(() => []);
      for (const [i, tokens] of result.sequences.entries()) {
        const scores = scored && {
          score: result.scores[i] as number,
          tokens,
          token_log_probabilities: result.logProbabilities[i] as number[],
        };
        found[result.inputs[i] as number]?.push({ text: tokenizer.decode(tokens), scores: scores || {} });
      }
      return found;
    },
    options,
  );
  return written.flat();
}

/** A function that writes outputs for texts. */
export type WriteTexts<Result> = (texts: string | readonly string[], options?: TextToTextOptions) => Promise<Result[]>;

/**
 * Makes a task. config.json may have a prefix and lengths for it under its name. `key`: property of results that holds
 * the text.
 */
export function writingTask<Key extends string>(
  name: string,
  key: Key,
): Task<WriteTexts<Partial<WrittenScores> & { readonly [Name in Key]: string }>> {
  return {
    head: 'language-model',
    needs: { stacks: 'encoder-decoder' },
    create: (context) => {
      const parameters = taskParameters(context.model, [name]) ?? { prefix: '', generate: {} };
      const read = async (all: readonly string[]) => {
        const { inputIds } = await encode(
          context,
          all.map((text) => parameters.prefix + text),
        );
        return inputIds;
      };
      return async (texts, options = {}) => {
        const generate = textToTextArguments(context, options);
        const how = { encode: read, parameters, forced: {} };
        const written = await rewrite(context, textsOf(name, texts), how, generate, options);
        return written.map(({ text, scores }) => ({ ...({ [key]: text } as { [Name in Key]: string }), ...scores }));
      };
    },
  };
}
