/** The result of a processor: numbers and their shape, for a tensor. */
export interface Features {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}
