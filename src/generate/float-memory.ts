/**
 * Memory for numbers that every step needs anew. Its owner takes it at each step, when nobody reads the previous
 * numbers any longer. Fresh arrays of this size would be garbage, whose collection blocks the event loop. While the
 * memory is unused, garbage collection may free it.
 */
export class FloatMemory {
  #latest: WeakRef<ArrayBuffer> | null = null;

  /** Returns `length` floats with any values, in the memory of the previous call if that is large enough. */
  take(length: number): Float32Array {
    const known = this.#latest?.deref();
    if (known !== undefined && known.byteLength >= length * 4) return new Float32Array(known, 0, length);
    const made = new ArrayBuffer(length * 4);
    this.#latest = new WeakRef(made);
    return new Float32Array(made);
  }
}
