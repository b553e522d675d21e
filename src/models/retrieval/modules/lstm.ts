import type { Tensor } from '../../../core/tensor.js';
import { Lstm as Layers } from '../../../nn/lstm.js';
import type { Sequences } from '../../../nn/sequences.js';
import type { StateNames } from '../../../nn/state-names.js';
import { concat, gather, pack, unpack } from '../../../ops/move.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

/** A long short-term memory over the tokens of a text, in one direction or in both. */
export class Lstm extends SentenceModule {
  /** `forwards` and `backwards`: the layers of each direction; the latter are none for one direction. */
  constructor(
    readonly forwards: readonly Layers[],
    readonly backwards: readonly Layers[],
    override readonly folder: string,
  ) {
    super();
  }

  static async read({ path, init, tensors }: ModuleFolder): Promise<Lstm> {
    const entries = await tensors();
    const layers = (suffix: string) => {
      const found: Layers[] = [];
      for (let i = 0; i === 0 || entries.has(`encoder.weight_ih_l${i}${suffix}`); i++) {
        const [gates, inputs] = matrixSize(path, entries, `encoder.weight_ih_l${i}${suffix}`, 2) as [number, number];
        found.push(new Layers(init, inputs, gates / 4, 1));
      }
      return found;
    };
    const isTwoWay = entries.has('encoder.weight_ih_l0_reverse');
    const module = new Lstm(layers(''), isTwoWay ? layers('_reverse') : [], path);
    await module.readState(entries);
    return module;
  }

  protected override get stateNames(): StateNames {
    const names = (path: string, suffix: string) => [
      [`${path}.*.layers.0.input.weight`, `encoder.weight_ih_l*${suffix}`],
      [`${path}.*.layers.0.input.bias`, `encoder.bias_ih_l*${suffix}`],
      [`${path}.*.layers.0.hidden.weight`, `encoder.weight_hh_l*${suffix}`],
      [`${path}.*.layers.0.hidden.bias`, `encoder.bias_hh_l*${suffix}`],
    ];
    return Object.fromEntries([...names('forwards', ''), ...names('backwards', '_reverse')]);
  }

  override forward(features: TextFeatures): TextFeatures {
    const { batch } = features;
    let x = tokensOf(features); // [N, d]
    for (const [i, layer] of this.forwards.entries()) {
      const ahead = through(layer, x, batch);
      const other = this.backwards[i];
      if (other === undefined) {
        x = ahead;
        continue;
      }
      const order = x.device.tensor(reversed(batch));
      x = concat([ahead, gather(through(other, gather(x, order), batch), order)], 1);
    }
    return { ...features, tokens: x };
  }
}

/** The outputs of a layer for packed rows. Padding is at the end, where no row depends on it. */
function through(layer: Layers, x: Tensor, { lengths, longest, total }: Sequences): Tensor {
  return pack(layer.forward(unpack(x, lengths, longest)).outputs, lengths, total);
}

/** The indices of packed rows when each text is read from its end. */
function reversed({ starts, counts, total }: Sequences): Int32Array {
  const indices = new Int32Array(total);
  for (const [i, count] of counts.entries()) {
    const start = starts[i] as number;
    for (let row = 0; row < count; row++) indices[start + row] = start + count - 1 - row;
  }
  return indices;
}
