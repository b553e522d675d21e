import { checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { sigmoid, tanh } from '../ops/activation.js';
import { add, mul } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { concat, slice } from '../ops/move.js';
import { checkInitializer, type Initializer } from './init.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import type { StateNames } from './state-names.js';

/** State of a layer: its last output (`hidden`) and its `cell`, both float32 [B, features]. */
export interface LstmState {
  readonly hidden: Tensor;
  readonly cell: Tensor;
}

/** Weights of one layer. The four gates lie side by side: input, forget, cell, output. */
class LstmLayer extends Module {
  readonly input: Linear;
  readonly hidden: Linear;

  constructor(init: Initializer, inputs: number, features: number) {
    super();
    this.input = new Linear(init, inputs, 4 * features);
    this.hidden = new Linear(init, features, 4 * features);
  }
}

/** Long short-term memory (Hochreiter & Schmidhuber 1997), with the names and layouts of PyTorch's nn.LSTM. */
export class Lstm extends Module {
  readonly layers: readonly LstmLayer[];

  /**
   * `inputs`: features of an input row. `features`: features of an output row. `layers`: number of layers. Throws
   * ArgumentError, OutOfMemoryError.
   */
  constructor(
    init: Initializer,
    inputs: number,
    readonly features: number,
    layers: number,
  ) {
    super();
    checkInitializer('Lstm', init);
    checkSizes('Lstm', { inputs, features, layers }, 1);
    this.layers = Array.from({ length: layers }, (_, i) => new LstmLayer(init, i === 0 ? inputs : features, features));
  }

  protected override get stateNames(): StateNames {
    return {
      'layers.*.input.weight': 'weight_ih_l*',
      'layers.*.input.bias': 'bias_ih_l*',
      'layers.*.hidden.weight': 'weight_hh_l*',
      'layers.*.hidden.bias': 'bias_hh_l*',
    };
  }

  /**
   * `x`: float32 [B, T, inputs]. `states`: one for each layer; default: zeros. Returns the outputs of the last layer,
   * [B, T, features], and the states after the last row. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor, states?: readonly LstmState[]): { outputs: Tensor; states: LstmState[] } {
    const [size, time] = x.shape as [number, number, number];
    const after: LstmState[] = [];
    let rows = x;
    for (const [i, layer] of this.layers.entries()) {
      const projected = layer.input.forward(rows); // [B, T, 4·features]
      const zeros = () => x.device.zeros([size, this.features]);
      let state = states?.[i] ?? { hidden: zeros(), cell: zeros() };
      const outputs: Tensor[] = [];
      for (let t = 0; t < time; t++) {
        const fromInput = contiguous(slice(projected, 1, t, t + 1)).reshape(size, -1);
        state = this.#step(add(fromInput, layer.hidden.forward(state.hidden)), state.cell);
        outputs.push(state.hidden.reshape(size, 1, this.features));
      }
      rows = outputs.length === 1 ? (outputs[0] as Tensor) : concat(outputs, 1);
      after.push(state);
    }
    return { outputs: rows, states: after };
  }

  #step(gates: Tensor, cell: Tensor): LstmState {
    const { features } = this;
    const gate = (i: number) => contiguous(gates.columns(i * features, (i + 1) * features));
    const next = add(mul(sigmoid(gate(1)), cell), mul(sigmoid(gate(0)), tanh(gate(2))));
    return { hidden: mul(sigmoid(gate(3)), tanh(next)), cell: next };
  }
}
