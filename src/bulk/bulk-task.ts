// What the jobs of a queue ask for, and a model does, many at once.

/** Work of one kind. The results of inputs do not depend on what else is in their batch. */
export interface BulkTask<Input = unknown, Result = unknown> {
  /** Of the work, as `run` or `text-classification`; workers and submitters of a queue agree on it. */
  readonly name: string;
  /** Tokens of an input, or what else makes a batch large. Throws ArgumentError for what is no input. */
  cost(input: Input): number;
  /** A result for each input, in their order; results are JSON. It may tell how many percent of them are done. */
  run(inputs: readonly Input[], onProgress?: (percent: number) => void): Promise<readonly Result[]>;
}
