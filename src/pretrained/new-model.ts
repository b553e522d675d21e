// Models of a family with random weights.

import { checkOptions, describeValue, isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { fractionsIn } from '../models/json-fractions.js';
import { type Json, ModelConfig } from '../models/model-config.js';
import type { HeadKind, PretrainedModel } from '../models/pretrained-model.js';
import { familyOfConfig } from '../models/registry.js';
import { Initializer } from '../nn/init.js';
import { architectureOf, headKinds, headOf, modelOf } from './architectures.js';
import { completeConfig } from './config.js';

export interface NewModelOptions {
  /** Seed of the random weights. Default: 0. */
  seed?: number | undefined;
  /** The head of the model. Default: by `architectures` of the config. */
  head?: HeadKind | undefined;
}

/** Implementation of `newModel` in load-later.ts. */
export async function newModel(device: Device, config: Json, options: NewModelOptions): Promise<PretrainedModel> {
  if (!isObject(config))
    throw new ArgumentError(`newModel: config is ${describeValue(config)}, expected the content of a config.json`);
  const { seed = 0, head = headOf(config) } = checkOptions('newModel', options, { seed: 'seed', head: headKinds });
  const family = await familyOfConfig(config);
  const architecture = architectureOf(family, config, head);
  const settings = new ModelConfig(await completeConfig(config));
  const init = new Initializer(device, seed);
  try {
    const model = new (modelOf(family, architecture, config))({ init, config: settings, head });
    model.origin = {
      fractions: fractionsIn(JSON.stringify(config)),
      config: { ...config, architectures: [architecture] },
      names: new Map(),
      companions: async () => ({ files: new Map(), tensors: async () => [], savedConfig: async (saved) => saved }),
    };
    return model;
  } catch (error) {
    init.dispose();
    throw error;
  }
}
