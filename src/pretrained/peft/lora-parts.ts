// Parts of an adapter that reading and writing share.

import type { PretrainedModel } from '../../models/pretrained-model.js';
import type { LoraLayer } from '../../nn/lora-layer.js';
import type { LoraModule } from '../../nn/lora-modules.js';
import { piecesOf, type StatePiece } from '../../nn/state-names.js';
import type { LoraSettings } from './lora-options.js';
import type { LoraTarget } from './lora-targets.js';
import { moduleNames } from './module-names.js';
import type { TrainedCopies } from './trained-copies.js';

/** The names of PEFT's files. */
export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** This package's file with the labels of an adapter's head: `head`, `labels` and `problemType` of `loadModel`. */
export const ADAPTER_HEAD = 'head.json';

/** The prefix of all parameter names in PEFT's files. */
export const PEFT_PREFIX = 'base_model.model.';

/** The adapter's matrices for a target, and the modules that apply them. */
export interface LoraPart {
  readonly target: LoraTarget;
  readonly layer: LoraLayer;
  /** Several if the target is a tensor of checkpoints that several modules hold. */
  readonly modules: readonly LoraModule[];
}

export interface LoraParts {
  readonly model: PretrainedModel;
  readonly settings: LoraSettings;
  readonly modulesToSave: readonly string[];
  readonly parts: readonly LoraPart[];
  readonly copies: TrainedCopies;
}

/** PEFT's name of a parameter. `inside`: the part of its module that holds it. */
export function savedName(nameOf: (name: string) => string, name: string, inside = ''): string {
  return `${nameOf(name)}${inside}${/\.(weight|bias)$/.exec(name)?.[0] ?? ''}`;
}

/** An adapter's parameters in the stored layout, by PEFT's names. */
export function piecesOfLora({ parts, copies, model }: LoraParts): StatePiece[] {
  const nameOf = moduleNames(model);
  const ofTargets = parts.flatMap(({ layer, modules: [module], target }) =>
    layer.tensors().flatMap(([name, tensor]) => {
      const stored = { path: name, names: [name], tensor, leading: [], transposed: tensor.shape.length > 1 };
      // If the projection stores its outputs head by head, so does the adapter.
      const isOut = tensor !== layer.a;
      return piecesOf({ ...stored, sections: module?.sections ?? null, perHead: isOut ? target.perHead : null });
    }),
  );
  const targets = new Set(parts.map(({ target }) => target.name));
  const whole = copies.pieces().map((piece) => {
    const inside = targets.has(nameOf(piece.name)) ? '.base_layer' : '';
    return { ...piece, name: PEFT_PREFIX + savedName(nameOf, piece.name, inside) };
  });
  return [...ofTargets, ...whole];
}
