// The gradient of a step is the sum of its batches' gradients, in the order of the batches. It has the same bits if one
// process computes N batches or if N ranks compute one each.

import { Tensor } from '../core/tensor.js';
import { affineInto } from '../ops/binary.js';
import { Pending } from './pending.js';
import { type GradientSumOptions, partLength, type WireFormat, type World } from './world.js';

/** Adds up the gradients of `params` over the batches of a step. */
export interface GradientSum {
  /**
   * Called before each batch. `isFirst` and `isLast` tell its position in the step. Returns a function to call with
   * each leaf whose gradient is final, or null if it is not needed.
   */
  begin(isFirst: boolean, isLast: boolean): ((leaf: Tensor) => void) | null;
  /** Called once the backward pass is queued: adds its gradients to the sums. */
  end(): void;
  /**
   * Called after the last batch. Makes the sums the gradients of the parameters. Returns null if queued commands have
   * done that already.
   */
  finish(): Promise<void> | null;
  dispose(): void;
}

/** The sums of a single process. They are kept on the device. */
export class LocalSum implements GradientSum {
  readonly #sums = new Map<Tensor, Tensor>();
  /** Parameters with a gradient in this step. */
  readonly #begun = new Set<Tensor>();
  #isLast = true;

  constructor(private readonly params: readonly Tensor[]) {}

  begin(isFirst: boolean, isLast: boolean): null {
    if (isFirst) this.#begun.clear();
    this.#isLast = isLast;
    return null;
  }

  end(): void {
    for (const param of this.params) {
      const { grad } = param;
      if (this.#isLast) this.#finish(param, grad);
      else if (grad !== null) {
        affineInto(grad, this.#sumOf(param), 1, this.#begun.has(param));
        this.#begun.add(param);
        param.zeroGrad();
      }
    }
  }

  finish(): null {
    return null;
  }

  #finish(param: Tensor, grad: Tensor | null): void {
    if (!this.#begun.has(param)) return; // the gradient already is the sum
    const sum = this.#sumOf(param);
    if (grad !== null) affineInto(sum, grad, 1, true);
    else affineInto(sum, param.device.autograd.slotOf(param).targetFor(param).tensor, 1, false);
  }

  #sumOf(param: Tensor): Tensor {
    const { device, shape } = param;
    const sum = this.#sums.get(param) ?? device.unscoped(() => device.empty(shape));
    this.#sums.set(param, sum);
    return sum;
  }

  dispose(): void {
    for (const sum of this.#sums.values()) sum.dispose();
  }
}

/** Number of elements of a bucket. The backward pass continues while a bucket is sent. */
const BUCKET = 1 << 19;

/** Parameters whose gradients are sent together. */
interface Bucket {
  readonly params: readonly Tensor[];
  /** The gradients end to end, then a flag for each parameter that has one, then padding to whole parts of ranks. */
  readonly values: Float32Array;
  /** Index of the first flag in `values`. */
  readonly flagsAt: number;
  /** The part that this rank adds up. */
  readonly sum: Float32Array;
  /** Parameters whose gradient is not final yet. */
  waiting: number;
  /** The transfer of the latest batch's gradients, and the number of batches that are still being sent. */
  travel: Pending<void>;
  travelling: number;
}

/**
 * The sums over all ranks. Gradients are sent in buckets. The last parameters come first, because the backward pass
 * computes their gradients first.
 */
export class WorldSum implements GradientSum {
  readonly #buckets: Bucket[] = [];
  readonly #bucketOf = new Map<Tensor, Bucket>();
  /** The transfer of the latest bucket. */
  #leaving: Pending<unknown> = new Pending(Promise.resolve());
  /** Number of buckets of this batch that have been sent. */
  #sent = 0;
  #isFirst = true;
  #isLast = true;

  constructor(
    private readonly world: World,
    params: readonly Tensor[],
    private readonly wire: WireFormat,
  ) {
    let gathered: Tensor[] = [];
    let size = 0;
    const close = () => {
      if (gathered.length > 0) this.#add(gathered, size);
      [gathered, size] = [[], 0];
    };
    for (const param of [...params].reverse()) {
      gathered.push(param);
      size += param.size;
      if (size >= BUCKET) close();
    }
    close();
  }

  #add(params: readonly Tensor[], flagsAt: number): void {
    const { size } = this.world;
    const part = partLength(flagsAt + params.length, size);
    const bucket = {
      params,
      flagsAt,
      values: new Float32Array(part * size),
      sum: new Float32Array(part),
      waiting: 0,
      travel: new Pending(Promise.resolve()),
      travelling: 0,
    };
    this.#buckets.push(bucket);
    for (const param of params) this.#bucketOf.set(param, bucket);
  }

  begin(isFirst: boolean, isLast: boolean): (leaf: Tensor) => void {
    [this.#isFirst, this.#isLast] = [isFirst, isLast];
    this.#sent = 0;
    for (const bucket of this.#buckets) bucket.waiting = bucket.params.length;
    return (leaf) => {
      const bucket = this.#bucketOf.get(leaf);
      if (bucket === undefined) return;
      bucket.waiting--;
      // All ranks send buckets in one order, independent of the order in which they become full.
      for (let next = this.#next(); next?.waiting === 0; next = this.#next()) this.#send(next);
    };
  }

  #next(): Bucket | undefined {
    return this.#buckets[this.#sent];
  }

  #send(bucket: Bucket): void {
    this.#sent++;
    // Gradients are read now, in the order of the queue, because the next batch overwrites them. They are read into the
    // buffer that is sent, unless the previous batch is still being sent from there.
    const { params, values, flagsAt } = bucket;
    const buffer = bucket.travelling > 0 ? values.slice() : values;
    const pairs: [Tensor, Float32Array][] = [];
    let offset = 0;
    for (const [i, { size, grad }] of params.entries()) {
      const part = buffer.subarray(offset, offset + size);
      if (grad !== null) pairs.push([grad, part]);
      else part.fill(0);
      buffer[flagsAt + i] = grad === null ? 0 : 1;
      offset += size;
    }
    const reading = new Pending(Tensor.readTo(pairs));
    const options = { isFirst: this.#isFirst, isLast: this.#isLast, wire: this.wire };
    const leaving = new Pending(this.#leave(bucket, buffer, reading, this.#leaving, options));
    this.#leaving = leaving;
    bucket.travelling++;
    const travel = async () => {
      await (await leaving.value()).value();
      bucket.travelling--;
    };
    bucket.travel = new Pending(travel());
  }

  /** Sends a bucket after the one before it, because ranks may read buckets in different orders. */
  async #leave(
    { values, sum, travel: earlier }: Bucket,
    buffer: Float32Array,
    reading: Pending<void>,
    before: Pending<unknown>,
    options: GradientSumOptions,
  ): Promise<Pending<void>> {
    await earlier.value();
    await reading.value();
    await before.value();
    if (buffer !== values) values.set(buffer);
    return new Pending(this.world.reduce(values, sum, options));
  }

  end(): void {
    // The remaining buckets have parameters without a gradient in this batch.
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.#send(next);
    if (!this.#isLast) for (const param of this.#bucketOf.keys()) param.zeroGrad();
  }

  async finish(): Promise<void> {
    for (const { travel } of this.#buckets) await travel.value();
    // Nothing runs any more, so the values are copied directly to the heap instead of through the queue.
    for (const bucket of this.#buckets) this.#take(bucket);
  }

  #take({ params, values, flagsAt }: Bucket): void {
    let offset = 0;
    for (const [i, param] of params.entries()) {
      const isThere = values[flagsAt + i] !== 0;
      const sum = values.subarray(offset, offset + param.size);
      if (isThere) (param.grad ?? param.device.autograd.slotOf(param).targetFor(param).tensor).write(sum);
      offset += param.size;
    }
  }

  dispose(): void {}
}
