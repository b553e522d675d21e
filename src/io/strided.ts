import { type ByteSource, bytesOf } from './byte-source.js';

type Elements = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;
type ElementArray = new (buffer: ArrayBufferLike) => Elements;

/** Typed arrays that copy elements of a given size bit by bit. */
const ARRAYS: Readonly<Record<number, ElementArray>> = {
  1: Uint8Array,
  2: Uint16Array,
  4: Uint32Array,
  8: BigUint64Array,
};

/**
 * A strided view of numbers in a file, as a source of row-major bytes. They are rearranged at the first read, and kept
 * until the last byte was read.
 */
export class Strided implements ByteSource {
  /** Bytes of the row-major array. */
  readonly size: number;
  readonly readAsync?: (position: number, into: Uint8Array) => Promise<void>;
  #laidOut: Uint8Array | null = null;

  /**
   * `position` is the byte position of the first number, `width` the bytes per number. The caller has checked that the
   * view lies inside the file.
   */
  constructor(
    private readonly source: ByteSource,
    private readonly position: number,
    private readonly shape: readonly number[],
    private readonly strides: readonly number[],
    private readonly width: number,
  ) {
    this.size = shape.reduce((product, n) => product * n, width);
    if (source.readAsync)
      this.readAsync = async (position, into) => {
        this.#laidOut ??= this.#layOut(await bytesOf(source, this.position, this.#span()));
        this.#copy(position, into);
      };
  }

  /** True if the numbers in the file are row-major and contiguous. */
  get isContiguous(): boolean {
    let expected = 1;
    for (let i = this.shape.length - 1; i >= 0; i--) {
      const n = this.shape[i] as number;
      if (n > 1 && this.strides[i] !== expected) return this.size === 0;
      expected *= n;
    }
    return true;
  }

  read(position: number, into: Uint8Array): void {
    if (this.#laidOut === null) {
      const span = new Uint8Array(this.#span());
      this.source.read(this.position, span);
      this.#laidOut = this.#layOut(span);
    }
    this.#copy(position, into);
  }

  #copy(position: number, into: Uint8Array): void {
    into.set((this.#laidOut as Uint8Array).subarray(position, position + into.byteLength));
    if (position + into.byteLength === this.size) this.#laidOut = null;
  }

  /** Returns the number of bytes from the first number to the end of the last one. */
  #span(): number {
    const last = this.shape.reduce((sum, n, i) => sum + (n - 1) * (this.strides[i] as number), 0);
    return (last + 1) * this.width;
  }

  #layOut(span: Uint8Array): Uint8Array {
    const aligned = span.byteOffset % this.width === 0 ? span : span.slice();
    const Elements = ARRAYS[this.width] as ElementArray;
    const from = new Elements(aligned.buffer).subarray(
      aligned.byteOffset / this.width,
      (aligned.byteOffset + aligned.byteLength) / this.width,
    );
    const to = new Elements(new ArrayBuffer(this.size));
    const columns = this.shape.at(-1) ?? 1;
    const step = this.strides.at(-1) ?? 1;
    const rows = to.length / columns;
    const index = this.shape.slice(0, -1).fill(0);
    for (let row = 0, next = 0; row < rows; row++) {
      let first = 0;
      for (let i = 0; i < index.length; i++) first += (index[i] as number) * (this.strides[i] as number);
      for (let column = 0; column < columns; column++) to[next++] = from[first + column * step] as number & bigint;
      for (let i = index.length - 1; i >= 0; i--) {
        index[i] = (index[i] as number) + 1;
        if ((index[i] as number) < (this.shape[i] as number)) break;
        index[i] = 0;
      }
    }
    return new Uint8Array(to.buffer);
  }
}
