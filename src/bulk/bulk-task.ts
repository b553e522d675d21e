// Work that the jobs of a queue request, and that a model does in batches.

/** Work of one kind. The results of inputs do not depend on what else is in their batch. */
export interface BulkTask<Input = unknown, Result = unknown> {
  /** The name of the work, such as `run` or `text-classification`. Workers and submitters of a queue must use one name. */
  readonly name: string;
  /** The cost of an input, such as its tokens. Throws ArgumentError for an invalid input. */
  cost(input: Input): number;
  /** A result for each input, in their order; results are JSON. It may tell how many percent of them are done. */
  run(inputs: readonly Input[], onProgress?: (percent: number) => void): Promise<readonly Result[]>;
}
