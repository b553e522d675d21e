import type { Tensor } from '../../core/tensor.js';
import { sinusoids } from '../../nn/positions.js';
import { notEqual, where } from '../../ops/binary.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/** M2M-100 (Fan et al. 2020, arXiv 2010.11125) and NLLB: pre-norm layers, and positions as in tensor2tensor. */
export class M2M100 extends Bart {
  constructor(context: FamilyContext) {
    const firstPosition = context.config.number('pad_token_id') + 1;
    super(context, {
      ...bartDesign,
      wiring: 'pre',
      finalNorm: true,
      embeddingNorm: false,
      sinusoids: (length, dModel) => {
        const table = new Float32Array((length + 1) * dModel); // the last row is for padding, which has no position
        table.set(sinusoids(length, dModel, { layout: 'halves', frequencies: 'tensor2tensor', firstPosition }));
        return table;
      },
      logitsBias: false,
      heads: ['none', 'language-model'],
    });
  }

  /** Padding has no position. */
  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.positionsWithout(this.settings.number('pad_token_id'));
  }

  protected override positionIdsOf(ids: Tensor, positions: Tensor): Tensor {
    return where(notEqual(ids, this.settings.number('pad_token_id')), positions, this.maxLength);
  }

  protected override get shiftsSource(): boolean {
    return false;
  }
}

export const m2m100: Family = {
  model: M2M100,
  className: 'M2M100',
  generationClass: 'M2M100ForConditionalGeneration',
  defaults: {
    ...bartDefaults,
    encoder_layerdrop: 0.05,
    decoder_layerdrop: 0.05,
    activation_function: 'relu',
    attention_dropout: 0.1,
    scale_embedding: true,
    forced_eos_token_id: null,
  },
};
