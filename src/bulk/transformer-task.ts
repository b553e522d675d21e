import { checkKnown } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { OPTION_RULES } from '../generate/option-rules.js';
import { checkKinds } from '../generate/settings.js';
import type { Transformer } from '../models/families/transformer.js';
import { inBatches } from '../tasks/batches.js';
import type { TaskProgress } from '../tasks/task.js';
import type { BulkTask } from './bulk-task.js';

/** The output of a Transformer for a text. */
export interface GeneratedOutput {
  readonly output: string;
  /** The score of `generate`: the sum of log-probabilities / length^lengthPenalty. */
  readonly score: number;
}

/** Number of texts in a batch, as in `generate`. */
const TOGETHER = 64;

/**
 * Makes a task of a Transformer that was saved with its tokenizers. It generates an output for each text. `options` are
 * those of `generate`. Inputs are strings. Throws ArgumentError for a model without tokenizers.
 */
export function transformerTask(
  model: Transformer,
  options: Omit<GenerateOptions, 'numReturnSequences' | 'signal'> = {},
): BulkTask<string, GeneratedOutput> {
  checkKnown('transformerTask', options, Object.keys(OPTION_RULES) as (keyof typeof options)[]);
  checkKinds(options);
  const { source, target } = model.tokenizers;
  const [reader, targetTokenizer] = [source ?? target, target ?? source];
  if (reader === undefined || targetTokenizer === undefined)
    throw new ArgumentError('transformerTask: the model was saved without its tokenizers');
  const encode = (input: string): number[] => {
    if (typeof input !== 'string') throw new ArgumentError(`the input is ${JSON.stringify(input)}, expected a string`);
    const ids = asArgument(() => reader.encode(input));
    if (ids.length === 0) throw new ArgumentError('the input is empty');
    if (ids.length <= model.config.maxLength) return ids;
    throw new ArgumentError(`the input has ${ids.length} tokens, expected at most ${model.config.maxLength}`);
  };
  return {
    name: 'run',
    cost: (input) => encode(input).length,
    async run(inputs, tell) {
      const write = async (rows: number[][]): Promise<GeneratedOutput[]> => {
        const { sequences, scores } = await model.generate(rows, options);
        return sequences.map((ids, i) => ({ output: targetTokenizer.decode(ids), score: scores[i] as number }));
      };
      const onProgress = ({ done, total }: TaskProgress) => tell?.(Math.floor((100 * done) / total));
      const { batchSize = TOGETHER } = options;
      return inBatches(inputs.map(encode), ({ length }) => length, write, { batchSize, onProgress });
    },
  };
}

/** Encodes a text. Errors of the tokenizer become ArgumentError, because further attempts would fail too. */
function asArgument<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ArgumentError((error as Error).message, { cause: error });
  }
}
