// The interface of the work that jobs of a queue request and a model does in batches.

/** Work of one kind. The result of an input must not depend on the other inputs of its batch. */
export interface BulkTask<Input = unknown, Result = unknown> {
  /**
   * Name of the work, such as `run` or `text-classification`. Workers and submitters of a queue must use the same name.
   */
  readonly name: string;
  /** The cost of an input, such as its tokens. Throws ArgumentError for an invalid input. */
  cost(input: Input): number;
  /**
   * Computes a result for each input, in order. Results must be JSON values. It may report the completed percentage.
   */
  run(inputs: readonly Input[], onProgress?: (percent: number) => void): Promise<readonly Result[]>;
}
