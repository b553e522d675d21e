// What an adapter is made of, for what reads and writes it.

import type { Tensor } from '../core/tensor.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { LoraLayer } from '../nn/lora-layer.js';
import type { LoraLinear } from '../nn/lora-modules.js';
import { piecesOf, type StatePiece } from '../nn/state-names.js';
import { moduleNames } from './peft-names.js';

/** The files of PEFT. */
export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** What names of parameters begin with in PEFT's files. */
export const PEFT_PREFIX = 'base_model.model.';

export interface LoraParts {
  readonly model: PretrainedModel;
  readonly options: LoraSettings;
  readonly layers: readonly {
    readonly layer: LoraLayer;
    readonly module: LoraLinear;
    readonly perHead: number | null;
  }[];
  /** Parameters of the model that are trained and saved whole. */
  readonly saved: readonly Tensor[];
}

/** Options of `lora`, complete; `targets` are the ends of names. */
export interface LoraSettings {
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly rsLora: boolean;
  readonly dora: boolean;
  readonly targets: readonly string[];
  readonly modulesToSave: readonly string[];
}

/** An adapter's parameters as they are stored. */
export function piecesOfLora({ layers, saved, model }: LoraParts): StatePiece[] {
  const names = moduleNames(model);
  const own = layers.flatMap(({ layer, module, perHead }) =>
    layer.tensors().flatMap(([name, tensor]) => {
      const { sections } = module;
      // What comes out lies head by head where the projection's own features do.
      const isOut = tensor !== layer.a;
      return piecesOf({
        ...{ path: name, names: [name], tensor, sections, leading: [] },
        transposed: tensor.shape.length > 1,
        perHead: isOut ? perHead : null,
      });
    }),
  );
  const whole = model.statePieces().filter(({ tensor }) => saved.includes(tensor));
  return [
    ...own,
    ...whole.map((piece) => ({
      ...piece,
      name: `${PEFT_PREFIX}${names(piece.name)}${piece.name.match(/\.\w+$/)?.[0] ?? ''}`,
    })),
  ];
}
