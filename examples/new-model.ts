// A pretrained model's family with new weights, from its config.

import type { Device } from '../src/index.js';
import { type Json, ModelConfig } from '../src/models/model-config.js';
import type { PretrainedModel } from '../src/models/pretrained-model.js';
import { familyOfConfig } from '../src/models/registry.js';
import { Initializer } from '../src/nn/init.js';
import { architectureOf, headOf, modelOf } from '../src/pretrained/architectures.js';
import { completeConfig } from '../src/pretrained/config.js';

/** Makes a model of the class in `architectures`, with random weights from `seed`. */
export async function newModel(device: Device, config: Json, seed: number): Promise<PretrainedModel> {
  const family = await familyOfConfig(config);
  const head = headOf(config);
  const Model = modelOf(family, architectureOf(family, config, head), config);
  const settings = new ModelConfig(await completeConfig(config));
  return new Model({ init: new Initializer(device, seed), config: settings, head });
}
