import type { Tensor } from '../../core/tensor.js';
import { Linear } from '../../nn/linear.js';
import type { StateNames } from '../../nn/state-names.js';
import { permute } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { ResNet, resNetDefaults, resNetNames } from '../resnet.js';

/** ResNet (He et al. 2015, arXiv 1512.03385), a convolutional network, alone: features or classes of images. */
export class ResNetModel extends ImageModel {
  readonly backbone: ResNet;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification']);
    const { init, config, head } = context;
    const stages = config.sizes('depths').length;
    const all = Array.from({ length: stages + 1 }, (_, i) => i);
    this.backbone = new ResNet(init, { ...config.values, out_features: null, out_indices: all }, false);
    const out = () => new Linear(init, this.backbone.channels.at(-1) as number, labelsOf(config.values).length);
    this.head = head === 'none' ? null : new PredictionHead({ pick: 'tokens', out: out() });
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const maps = yield* this.backbone.forwardInParts(permute(pixels, [0, 2, 3, 1])); // each [B, H, W, C]
    const channelsFirst = (map: Tensor) => permute(map, [0, 3, 1, 2]);
    const output: ModelOutput = options.hiddenStates ? { hiddenStates: maps.map(channelsFirst) } : {};
    const last = maps.at(-1) as Tensor;
    const pooled = mean(last, { axis: [1, 2] }); // [B, C]
    const poolerOutput = pooled.reshape(...pooled.shape, 1, 1);
    const scores = this.classified(pooled, inputs, options);
    return { ...output, lastHiddenState: channelsFirst(last), poolerOutput, ...scores };
  }

  protected override get bodyName(): string {
    return 'resnet';
  }

  protected override get stateNames(): StateNames {
    return { ...resNetNames('backbone', 'resnet'), 'head.out': 'classifier.1' };
  }
}

export const resNet: Family = {
  model: ResNetModel,
  className: 'ResNet',
  defaults: { ...resNetDefaults, downsample_in_first_stage: false, downsample_in_bottleneck: false },
};
