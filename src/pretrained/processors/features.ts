/** The result of a processor: numbers and their shape, for a tensor. */
export interface Features {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  /** Rows and columns of the patches of each image, if the numbers are lists of patches. */
  readonly spatialShapes?: readonly (readonly [rows: number, columns: number])[] | undefined;
}
