// The interface between a memory and the database that keeps its passages.

/** A passage of a file. Lines count from 1, and the last line belongs to it. */
export interface FilePassage {
  readonly path: string;
  readonly firstLine: number;
  readonly lastLine: number;
  readonly text: string;
}

export interface Found extends FilePassage {
  /** The cosine of the angle between the passage's vector and the query's. */
  readonly score: number;
}

export interface StoredPassage extends FilePassage {
  readonly vector: Float32Array;
}

export interface VectorStore {
  /** The hash of each stored file's content, by path. */
  hashes(): Promise<Map<string, string>>;
  /** Replaces the passages of a file. A file without passages is forgotten. */
  put(path: string, hash: string, passages: readonly StoredPassage[]): Promise<void>;
  /** The `count` passages that are nearest to the vector. The nearest passage comes first. */
  search(vector: Float32Array, count: number): Promise<Found[]>;
  close(): void;
}
