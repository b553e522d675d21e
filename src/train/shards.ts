// ZeRO stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054): each rank keeps the optimizer's state of some parameters,
// updates these parameters, and sends them to the other ranks. Every rank has all gradients.

import { ArgumentError, FormatError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { SafetensorsSource } from '../io/safetensors.js';
import type { StoredState } from './checkpoint.js';
import type { Optimizer } from './optimizer.js';
import type { World } from './world.js';

/** The rank that holds a tensor of the state, and its shape. */
interface TensorLocation {
  readonly rank: number;
  readonly shape: readonly number[];
}

/** The description of one rank's part of the state. */
interface Part {
  readonly tensors: readonly (readonly [name: string, shape: readonly number[]])[];
  readonly numbers: Readonly<Record<string, number>>;
}

/** The state of an optimizer, sharded over the ranks of a world. */
export class Shards {
  /** Parameters by the rank that changes them. */
  readonly #owned: readonly (readonly Tensor[])[];
  /** The sizes of all parameters, rank after rank. */
  readonly #values: Float32Array;
  readonly #lengths: readonly number[];
  /** The state that rank 0 has read from a checkpoint. */
  #read: Parameters<Optimizer['loadState']>[0] | null = null;
  #locations: ReadonlyMap<string, TensorLocation> = new Map();

  /** Throws ArgumentError for an optimizer without `shard()`. */
  constructor(
    private readonly world: World,
    private readonly optimizer: Optimizer,
  ) {
    if (typeof optimizer.shard !== 'function')
      throw new ArgumentError(
        'fit: zeroStage is 1, but the optimizer has no shard(): use AdamW, Adafactor, Lion or SGD',
      );
    this.#owned = divide(optimizer.params, world.size);
    this.#lengths = this.#owned.map((params) => params.reduce((sum, { size }) => sum + size, 0));
    this.#values = new Float32Array(this.#lengths.reduce((sum, length) => sum + length, 0));
    optimizer.shard(new Set(this.#owned[world.rank]));
  }

  /** Sends the parameters that each rank has changed to all other ranks, after a step. */
  async share(): Promise<void> {
    const { world } = this;
    const [first, ...otherTensors] = this.#owned[world.rank] as readonly Tensor[];
    const ownedValues = first === undefined ? [] : await Tensor.dataOf([first, ...otherTensors]);
    let offset = this.#lengths.slice(0, world.rank).reduce((sum, length) => sum + length, 0);
    for (const values of ownedValues) {
      this.#values.set(values, offset);
      offset += values.length;
    }
    await world.allGather(this.#values, this.#lengths);
    offset = 0;
    for (const [rank, params] of this.#owned.entries())
      for (const param of params) {
        if (rank !== world.rank) param.write(this.#values.subarray(offset, offset + param.size));
        offset += param.size;
      }
  }

  /** Gathers the whole state on rank 0. The other ranks hold one tensor of it at a time. */
  async gather(): Promise<StoredState> {
    const parts = await this.#parts();
    const { rank } = this.world;
    const stateTensors = this.optimizer.state().tensors;
    const tensors = new Map<string, SafetensorsSource>();
    for (const [name, location] of this.#locations) {
      const tensor = stateTensors.get(name);
      const data = tensor ? ((await tensor.data()) as Float32Array) : zeros(location.shape);
      await this.world.broadcast(data, location.rank);
      if (rank === 0) tensors.set(name, { dtype: 'F32', shape: location.shape, data });
    }
    const numbers = Object.assign({}, ...parts.map((part) => part.numbers)) as Record<string, number>;
    return { tensors, numbers };
  }

  /** Exchanges the descriptions of all parts. Must be called before `loadState`. */
  async begin(): Promise<void> {
    await this.#parts();
  }

  async #parts(): Promise<Part[]> {
    const { tensors, numbers } = this.optimizer.state();
    const localPart: Part = { tensors: [...tensors].map(([name, { shape }]) => [name, shape]), numbers };
    const parts = (await this.world.exchangeText(JSON.stringify(localPart))).map((text) => JSON.parse(text) as Part);
    this.#locations = new Map(
      parts.flatMap((part, rank) => part.tensors.map(([name, shape]) => [name, { rank, shape }] as const)),
    );
    return parts;
  }

  /** Keeps the whole state on rank 0 until `scatter`. Throws FormatError if it belongs to other parameters. */
  loadState(state: Parameters<Optimizer['loadState']>[0]): void {
    for (const [name, { shape }] of this.#locations) {
      const [found, expected] = [state.tensors.get(name)?.length, sizeOf(shape)];
      if (found === expected) continue;
      throw new FormatError(`the optimizer's state has ${found ?? 'no'} values for ${name}, expected ${expected}`);
    }
    if (state.tensors.size !== this.#locations.size)
      throw new FormatError("the optimizer's state belongs to more parameters");
    this.#read = state;
  }

  /** The numbers of the state that rank 0 keeps. */
  get numbers(): Readonly<Record<string, number>> {
    return this.#read?.numbers ?? {};
  }

  /** Sends each rank its part of the state that rank 0 keeps. */
  async scatter(numbers: Readonly<Record<string, number>>): Promise<void> {
    const localTensors = new Map<string, Float32Array>();
    for (const [name, { rank, shape }] of this.#locations) {
      const values = this.#read?.tensors.get(name) ?? zeros(shape);
      await this.world.broadcast(values, 0);
      if (rank === this.world.rank) localTensors.set(name, values);
    }
    this.#read = null;
    this.optimizer.loadState({ tensors: localTensors, numbers });
  }
}

/** Assigns each parameter, largest first, to the rank with the fewest elements. */
function divide(params: readonly Tensor[], size: number): Tensor[][] {
  const parts = Array.from({ length: size }, () => ({ params: [] as Tensor[], size: 0 }));
  for (const param of [...params].sort((a, b) => b.size - a.size)) {
    const part = parts.reduce((least, shard) => (shard.size < least.size ? shard : least));
    part.params.push(param);
    part.size += param.size;
  }
  return parts.map((part) => part.params);
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

function zeros(shape: readonly number[]): Float32Array {
  return new Float32Array(sizeOf(shape));
}
