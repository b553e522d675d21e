// A pretrained model's family with new weights, from its config, and its training.

import type { Device, Tensor } from '../src/index.js';
import type { ModelInputs } from '../src/models/inputs.js';
import { type Json, ModelConfig } from '../src/models/model-config.js';
import type { PretrainedModel } from '../src/models/pretrained-model.js';
import { familyOfConfig } from '../src/models/registry.js';
import { Initializer } from '../src/nn/init.js';
import { architectureOf, headOf, modelOf } from '../src/pretrained/architectures.js';
import { completeConfig } from '../src/pretrained/config.js';
import type { Objective } from '../src/train/index.js';

/** Makes a model of the class in `architectures`, with random weights from `seed`. */
export async function newModel(device: Device, config: Json, seed: number): Promise<PretrainedModel> {
  const family = await familyOfConfig(config);
  const head = headOf(config);
  const Model = modelOf(family, architectureOf(family, config, head), config);
  const settings = new ModelConfig(await completeConfig(config));
  return new Model({ init: new Initializer(device, seed), config: settings, head });
}

/** Returns an objective for `fit`: the loss of `forward` for the inputs and labels that `inputsOf` makes of examples. */
export function objectiveOf<Item>(
  model: PretrainedModel,
  inputsOf: (items: readonly Item[]) => ModelInputs,
): Objective<Item> {
  return {
    device: model.device,
    namedParameters: () => model.namedParameters(),
    namedTensors: () => model.namedTensors(),
    train: () => model.train(),
    eval: () => model.eval(),
    seedDropout: (seed) => model.seedDropout(seed),
    lossOf(items): Tensor {
      const { loss } = model.forward(inputsOf(items));
      if (loss === undefined) throw new Error('the model has no loss');
      return loss;
    },
  };
}
