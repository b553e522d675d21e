/** The result of a processor: the values and the shape of a tensor. */
export interface Features {
  readonly data: Float32Array;
  readonly shape: readonly number[];
  /** Rows and columns of each image's patches, if the values are lists of patches. */
  readonly spatialShapes?: readonly (readonly [rows: number, columns: number])[] | undefined;
}
