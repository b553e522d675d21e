import { checkOptions, checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { MultiHeadAttention } from './attention.js';
import { type MultiHeadOptions, multiHeadKinds } from './attention-options.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';

export interface CrossAttentionOptions extends MultiHeadOptions {
  /** Number of features of the rows that are read. */
  readonly memorySize: number;
}

/**
 * Attention to an encoder's output, whose keys and values have a matrix of their own. Self-attention is not possible.
 */
export class CrossAttention extends MultiHeadAttention {
  /** Projects the encoder's output to keys and values. */
  readonly kv: Projection;

  /** Throws ArgumentError for invalid options. */
  constructor(init: Initializer, options: CrossAttentionOptions) {
    const { memorySize, ...baseOptions } = checkOptions('CrossAttention', options, {
      ...multiHeadKinds,
      memorySize: 'any',
    });
    super(init, baseOptions);
    checkSizes('CrossAttention', { memorySize }, 1);
    const { bias = true } = baseOptions;
    const width = this.kvHeads * this.headSize;
    this.kv = new Linear(init, memorySize, [width, width], typeof bias === 'boolean' ? bias : bias.slice(1));
  }

  protected override sectionWidths(queries: number): number[] {
    return [queries];
  }

  override keysAndValues(x: Tensor): Tensor {
    return this.kv.forward(x);
  }
}
