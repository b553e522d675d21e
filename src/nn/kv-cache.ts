// What a decoder remembers between steps, so that a step computes only the new token.
//
//   const memory = model.encode(source);                                   // encoder–decoder only
//   const state = model.startDecoding({ memory, beams: 4, maxLength: 64 }); // sequence r = source · beams + beam
//   state.tokens.write(Int32Array of bosId, one for each sequence);
//   const step = device.record(() => model.step(state));                   // result: logits [sequences, vocabulary]
//   loop:
//     step.run();            // appends keys and values of state.tokens, counts positions up; logits in step.result
//     … choose from step.result (ops recorded after model.step, or on the host) and state.tokens.write(next)
//     reorder.run();         // device.record(() => state.reorder(order)), where beams change places
//
// Decoder-only: model.startDecoding({ sequences: 3 }), then model.prefill(state, prompts) returns the logits after each
// prompt and model.step(state) goes on from there. Everything that changes between steps (tokens, positions, lengths,
// order) is data in the heap, so a recorded step is good for every position. model.restartDecoding(state, memory) makes
// the same state, and what was recorded with it, serve the next batch.

import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { advance, cacheReorder } from '../ops/kv-cache.js';
import type { TokenBatch } from './token-batch.js';

/** What `encode` makes of a source batch. */
export interface Memory {
  /** float32 [N, dModel], the encoder's outputs packed end to end. */
  readonly hidden: Tensor;
  readonly batch: TokenBatch;
}

/** Keys and values of one decoder layer. */
export interface LayerCache {
  /** float32 [sequences, capacity, keys | values]: of the target tokens so far. */
  readonly self: Tensor;
  /** float32 [sources, sourceCapacity, keys | values]: of the encoder's memory; null without an encoder. */
  readonly cross: Tensor | null;
}

export interface CacheSizes {
  readonly layers: number;
  /** Width of keys and values together. */
  readonly width: number;
  /** Batch items; each has `beams` sequences. */
  readonly sources: number;
  readonly beams: number;
  /** Target tokens a sequence can have. */
  readonly capacity: number;
  /** Source tokens an item can have; 0 without an encoder. */
  readonly sourceCapacity: number;
}

/** See the top of this file. Lives until `dispose()`, whatever scope it was made in. */
export class DecoderState {
  /** int32 [sequences]: what the next step reads. The caller writes them. */
  readonly tokens: Tensor;
  /** int32 [sequences]: the place of the newest token, from 0; -1 before the first step. */
  readonly positions: Tensor;
  /** int32 [sequences]: tokens so far. */
  readonly lengths: Tensor;
  /** int32 [sources]: tokens of each source. */
  readonly sourceLengths: Tensor;
  readonly layers: readonly LayerCache[];
  /** Sequences decoded side by side: sources · beams. */
  readonly sequences: number;
  /** `positions` and `lengths` in one tensor, so that one command counts both. */
  readonly #counters: Tensor;
  readonly #owned: Tensor[] = [];

  /** @internal */
  constructor(
    device: Device,
    readonly sizes: CacheSizes,
  ) {
    const { layers, width, sources, beams, capacity, sourceCapacity } = sizes;
    const own = (make: () => Tensor): Tensor => {
      const tensor = device.unscoped(make);
      this.#owned.push(tensor);
      return tensor;
    };
    this.sequences = sources * beams;
    this.tokens = own(() => device.zeros([this.sequences], 'int32'));
    this.#counters = own(() => device.zeros([2 * this.sequences], 'int32'));
    this.positions = own(() => this.#counters.columns(0, this.sequences));
    this.lengths = own(() => this.#counters.columns(this.sequences, 2 * this.sequences));
    this.sourceLengths = own(() => device.zeros([sources], 'int32'));
    this.layers = Array.from({ length: layers }, () => ({
      self: own(() => device.zeros([this.sequences, capacity, width])),
      cross: sourceCapacity > 0 ? own(() => device.zeros([sources, sourceCapacity, width])) : null,
    }));
    this.setLengths(new Int32Array(this.sequences));
  }

  /** Makes room for one more token in every sequence: the newest is now at `positions`. */
  advance(): void {
    advance(this.#counters);
  }

  /**
   * Lets every sequence r go on from what was sequence `order[r]`, one of the same source. `order` is int32 [sequences] and
   * data in the heap: record this once and write `order` between runs.
   */
  reorder(order: Tensor): void {
    for (const { self } of this.layers) cacheReorder(self, order, this.lengths);
  }

  /** Says how many tokens each sequence has. */
  setLengths(lengths: Int32Array): void {
    this.positions.write(lengths.map((length) => length - 1));
    this.lengths.write(lengths);
  }

  dispose(): void {
    for (const tensor of this.#owned) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
