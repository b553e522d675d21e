import { ArgumentError } from '../core/errors.js';
import type { TaskProgress } from '../tasks/task.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { BulkTask } from './bulk-task.js';

/** The interface of pipelines for bulk inference. */
export interface PipelineLike {
  readonly task: string;
  readonly tokenizer: PretrainedTokenizer | null;
}

/**
 * Makes a task of a pipeline of simdformer/tasks. An input is one input of the pipeline's call, and `options` are the
 * options of that call. Typed arrays in results, such as embeddings, become lists of numbers.
 */
export function pipelineTask(pipe: PipelineLike, options: object = {}): BulkTask {
  const { tokenizer } = pipe;
  const call = pipe as unknown as (inputs: unknown[], options: object) => Promise<unknown>;
  return {
    name: pipe.task,
    cost(input) {
      if (input === null || input === undefined)
        throw new ArgumentError(`the input is ${input}, expected one of ${pipe.task}`);
      return typeof input === 'string' && tokenizer ? tokenizer.encode(input).length : 1;
    },
    async run(inputs, tell) {
      const onProgress = ({ done, total }: TaskProgress) => tell?.(Math.floor((100 * done) / total));
      const results = await call([...inputs], { onProgress, ...options });
      return inputs.map((_, i) => plain(rowOf(results, i)));
    },
  };
}

/** Returns the part of a result that belongs to input i: an element of a list, or a row of a tensor. */
function rowOf(results: unknown, i: number): unknown {
  if (Array.isArray(results)) return results[i];
  const { data, dims } = results as { data: ArrayLike<number>; dims: readonly number[] };
  const size = dims.slice(1).reduce((product, dim) => product * dim, 1);
  return Array.from({ length: size }, (_, k) => data[i * size + k]);
}

function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, member) => (ArrayBuffer.isView(member) ? Array.from(member as Float32Array) : member)),
  );
}
