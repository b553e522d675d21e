import type { Tensor } from '../../core/tensor.js';
import { Linear } from '../../nn/linear.js';
import type { StateNames } from '../../nn/state-names.js';
import { mean } from '../../ops/reduce.js';
import { Bit, bitDefaults, bitNames } from '../bit.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * BiT (Kolesnikov et al. 2019, arXiv 1912.11370), a ResNet with norms of groups, alone: features or classes of images.
 */
export class BitModel extends ImageModel {
  readonly backbone: Bit;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification']);
    const { init, config, head } = context;
    this.backbone = new Bit(init, config.values, this.randomness);
    const out = () => new Linear(init, config.sizes('hidden_sizes').at(-1) as number, labelsOf(config.values).length);
    this.head = head === 'none' ? null : new PredictionHead({ pick: 'tokens', out: out() });
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const maps = yield* this.backbone.forwardInParts(pixels); // each [B, C, H, W]
    const output: ModelOutput = options.hiddenStates ? { hiddenStates: maps } : {};
    const last = maps.at(-1) as Tensor;
    const lastHiddenState = this.backbone.norm?.forward(last) ?? last;
    const pooled = mean(lastHiddenState, { axis: [2, 3] }); // [B, C]
    const poolerOutput = pooled.reshape(...pooled.shape, 1, 1);
    return { ...output, lastHiddenState, poolerOutput, ...this.classified(pooled, inputs, options) };
  }

  protected override get bodyName(): string {
    return 'bit';
  }

  protected override get stateNames(): StateNames {
    return { ...bitNames('backbone', 'bit'), 'head.out': 'classifier.1' };
  }
}

export const bit: Family = {
  model: BitModel,
  className: 'Bit',
  defaults: bitDefaults,
};
