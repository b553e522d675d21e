import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { DecoderState, Memory } from './decoder-state.js';

/** Inputs of a pass besides `x`. */
export interface MixerContext {
  /** The encoder's output, for layers that attend to one. */
  readonly memory?: Memory | null | undefined;
  /** State of a decoder, whose cross-attention memories are filled for later steps. */
  readonly state?: DecoderState | undefined;
  /** Tensors that the layers of this pass share. */
  readonly exchange?: Exchange | undefined;
}

/** Tensors that the layers of a pass through a stack share, besides the rows that they process. */
export class Exchange {
  readonly #given = new Map<object, Tensor>();
  readonly #kept: Tensor[] = [];

  /**
   * `aside`: further inputs of each row, float32 [N, features], which all layers read; null for none. `keeps`: true if
   * shared tensors must outlive the scopes of layers; `dispose` then frees them.
   */
  constructor(
    readonly aside: Tensor | null,
    private readonly keeps: boolean,
  ) {
    if (aside) this.#keep(aside);
  }

  /** Makes a tensor of `part` available to later layers. */
  give(part: object, tensor: Tensor): void {
    this.#given.set(part, tensor);
    this.#keep(tensor);
  }

  /** Returns the tensor that `part` gave. Throws ArgumentError if there is none. */
  of(part: object): Tensor {
    const tensor = this.#given.get(part);
    if (tensor) return tensor;
    throw new ArgumentError(
      'a layer reads the keys of an earlier layer, which did not run, expected a pass through the whole Stack',
    );
  }

  /** Frees the tensors that were kept. */
  dispose(): void {
    for (const tensor of this.#kept) tensor.dispose();
  }

  #keep(tensor: Tensor): void {
    if (this.keeps) this.#kept.push(tensor.device.keep(tensor));
  }
}
