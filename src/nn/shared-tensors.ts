import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { DecoderState, Memory } from './decoder-state.js';

/** Inputs of a pass besides `x`. */
export interface MixerContext {
  /** The encoder's output, for layers that attend to one. */
  readonly memory?: Memory | null | undefined;
  /** State of a decoder, whose cross-attention caches are filled for later steps. */
  readonly state?: DecoderState | undefined;
  /** Tensors that the layers of this pass share. */
  readonly shared?: SharedTensors | undefined;
}

/** Tensors that the layers of one pass through a stack share, besides the rows that they process. */
export class SharedTensors {
  readonly #tensors = new Map<object, Tensor>();
  readonly #kept: Tensor[] = [];

  /**
   * `extraInputs`: further inputs of each row, float32 [N, features], which all layers read; null for none. `frees`:
   * true if layers and sub-layers free their intermediate tensors. Shared tensors then outlive the scopes of layers,
   * and `dispose` frees them.
   */
  constructor(
    readonly extraInputs: Tensor | null,
    readonly frees: boolean,
  ) {
    if (extraInputs) this.#keep(extraInputs);
  }

  /** Makes a tensor of `part` available to later layers. */
  share(part: object, tensor: Tensor): void {
    this.#tensors.set(part, tensor);
    this.#keep(tensor);
  }

  /** Returns the tensor that `part` shared. Throws ArgumentError if there is none. */
  get(part: object): Tensor {
    const tensor = this.#tensors.get(part);
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
    if (this.frees) this.#kept.push(tensor.device.keep(tensor));
  }
}
