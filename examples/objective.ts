// Training of models by the loss of `forward`.

import type { Tensor } from '../src/index.js';
import type { ModelInputs, PretrainedModel } from '../src/pretrained/index.js';
import type { Objective } from '../src/train/index.js';

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
