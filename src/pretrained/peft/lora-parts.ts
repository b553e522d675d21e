// The parts of an adapter, for the code that reads and writes it.

import type { PretrainedModel } from '../../models/pretrained-model.js';
import type { LoraLayer } from '../../nn/lora-layer.js';
import type { LoraModule } from '../../nn/lora-modules.js';
import { piecesOf, type StatePiece } from '../../nn/state-names.js';
import type { LoraSettings } from './lora-options.js';
import type { LoraTarget } from './lora-targets.js';
import { moduleNames } from './module-names.js';
import type { TrainedCopies } from './trained-copies.js';

/** The files of PEFT. */
export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** The file of ours that names the labels of a head that an adapter brings: `head`, `labels` and `problemType` of `loadModel`. */
export const ADAPTER_HEAD = 'head.json';

/** The beginning of all names of parameters in PEFT's files. */
export const PEFT_PREFIX = 'base_model.model.';

/** The change of a target, and the module that adds it. */
export interface LoraPart {
  readonly target: LoraTarget;
  readonly layer: LoraLayer;
  readonly module: LoraModule;
}

export interface LoraParts {
  readonly model: PretrainedModel;
  readonly settings: LoraSettings;
  readonly modulesToSave: readonly string[];
  readonly parts: readonly LoraPart[];
  readonly copies: TrainedCopies;
}

/** An adapter's parameters as they are stored, by PEFT's names. */
export function piecesOfLora({ parts, copies, model }: LoraParts): StatePiece[] {
  const nameOf = moduleNames(model);
  const ofTargets = parts.flatMap(({ layer, module, target }) =>
    layer.tensors().flatMap(([name, tensor]) => {
      const stored = { path: name, names: [name], tensor, leading: [], transposed: tensor.shape.length > 1 };
      // Outputs are stored head by head where the projection's own are.
      const isOut = tensor !== layer.a;
      return piecesOf({ ...stored, sections: module.sections, perHead: isOut ? target.perHead : null });
    }),
  );
  const targets = new Set(parts.map(({ target }) => target.name));
  const whole = copies.pieces().map((piece) => {
    const module = nameOf(piece.name);
    const kind = /\.\w+$/.exec(piece.name)?.[0] ?? '';
    return { ...piece, name: `${PEFT_PREFIX}${module}${targets.has(module) ? '.base_layer' : ''}${kind}` };
  });
  return [...ofTargets, ...whole];
}
