/** What a processor makes for a model: numbers and their shape, for a tensor. */
export interface Features {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}
