import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import type { Dropout } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, TransformerLayer } from '../../nn/layer.js';
import type { Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { PointwiseConv } from '../../nn/pointwise-conv.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate } from '../../ops/activation.js';
import { add } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { matmul } from '../../ops/matmul.js';
import { concat, permute } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { chooseHead, type PredictionHead, wordPredictionNames } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertHeads, bertPooler } from './bert.js';

/**
 * SqueezeBERT (Iandola et al. 2020, arXiv 2006.11316): BERT whose projections are convolutions of groups of features.
 * Attention maps are probabilities, where transformers returns the scores before the softmax.
 */
export class SqueezeBert extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    config.expect('embedding_size', config.size('hidden_size'));
    this.embeddings = bertEmbeddings(init, config, this.randomness);
    this.encoder = new Stack(config.size('num_hidden_layers'), () => this.#layer(init, config), null);
    this.pooler = bertPooler(context);
    this.head = chooseHead(config, head, bertHeads(context, this.embeddings.tokens, this.randomness));
  }

  #layer(init: Initializer, config: ModelConfig): TransformerLayer {
    const [dModel, dFF] = [config.size('hidden_size'), config.size('intermediate_size')];
    const conv = (inputs: number, outputs: number, groups: string) => {
      const count = config.size(groups);
      if (inputs % count !== 0 || outputs % count !== 0)
        throw new FormatError(
          `config.json: ${groups} is ${count}, expected a divisor of ${inputs} and ${outputs} features`,
        );
      return count === 1 ? new PointwiseConv(init, inputs, outputs) : new GroupedConv(init, inputs, outputs, count);
    };
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    return new TransformerLayer({
      selfAttn: () =>
        new MultiHeadAttention(init, {
          dModel,
          heads: config.size('num_attention_heads'),
          dropout: dropout('attention_probs_dropout_prob'),
          qkv: () => new Projections(['q_groups', 'k_groups', 'v_groups'].map((name) => conv(dModel, dModel, name))),
          outProj: () => conv(dModel, dModel, 'post_attention_groups'),
        }),
      feedForward: () =>
        new ConvFeedForward(
          conv(dModel, dFF, 'intermediate_groups'),
          conv(dFF, dModel, 'output_groups'),
          activationOf(config.text('hidden_act')),
        ),
      norm: () => new LayerNorm(init, dModel, 1e-12),
      dropout: () => dropout('hidden_dropout_prob'),
      wiring: 'post',
      randomness: this.randomness,
    });
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  /** Files have a pooler beside every head. */
  override ignores(name: string): boolean {
    return name.startsWith('transformer.pooler.');
  }

  protected override get stateNames(): StateNames {
    const [path, stored] = ['encoder.layers.*', 'transformer.encoder.layers.*'];
    const head =
      this.headKind === 'masked-language-model'
        ? wordPredictionNames(this.settings)
        : {
            'head.dense': 'transformer.pooler.dense',
            'head.out': this.headKind === 'question-answering' ? 'qa_outputs' : 'classifier',
          };
    return {
      ...head,
      'pooler.dense': 'transformer.pooler.dense',
      ...embeddingNames('transformer.embeddings'),
      [`${path}.self_attn.qkv.parts.0`]: `${stored}.attention.query`,
      [`${path}.self_attn.qkv.parts.1`]: `${stored}.attention.key`,
      [`${path}.self_attn.qkv.parts.2`]: `${stored}.attention.value`,
      [`${path}.self_attn.out_proj`]: `${stored}.post_attention.conv1d`,
      [`${path}.norm1`]: `${stored}.post_attention.layernorm`,
      [`${path}.feed_forward.linear1`]: `${stored}.intermediate.conv1d`,
      [`${path}.feed_forward.linear2`]: `${stored}.output.conv1d`,
      [`${path}.norm2`]: `${stored}.output.layernorm`,
    };
  }
}

/** A convolution of kernel size 1, in which a group of outputs depends on a group of inputs. */
class GroupedConv extends Module implements Projection {
  /** float32 [out, in / groups] */
  readonly weight: Tensor;
  /** float32 [out] */
  readonly bias: Tensor;
  readonly #groups: number;

  constructor(init: Initializer, inputs: number, outputs: number, groups: number) {
    super();
    this.weight = init.normal([outputs, inputs / groups], (groups / inputs) ** 0.5);
    this.bias = init.constant([outputs], 0);
    this.#groups = groups;
  }

  override get sections(): readonly number[] {
    return [this.bias.size];
  }

  protected override get stateNames(): StateNames {
    return { weight: { name: 'weight', trailing: 1 } };
  }

  /** float32 [N, in] → [N, out]. */
  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    const [groups, rows] = [this.#groups, x.shape[0] as number];
    const byGroup = permute(contiguous(x).reshape(rows, groups, -1), [1, 0, 2]); // [groups, N, in / groups]
    const [outputs, inputs] = this.weight.shape as [number, number];
    const weight = this.weight.reshape(groups, outputs / groups, inputs);
    const y = permute(matmul(byGroup, weight, { transposeB: true }), [1, 0, 2]); // [N, groups, out / groups]
    const active = activate('GroupedConv', add(y.reshape(rows, outputs), this.bias), activation);
    return dropout?.forward(active) ?? active;
  }

  part(x: Tensor, _first: number, _end: number, activation?: Activation): Tensor {
    return this.forward(x, activation);
  }
}

/** Projections of the same input side by side. */
class Projections extends Module implements Projection {
  constructor(readonly parts: readonly Projection[]) {
    super();
  }

  override get sections(): readonly number[] {
    return this.parts.map(({ bias }) => bias?.size as number);
  }

  get weight() {
    return (this.parts[0] as Projection).weight;
  }

  get bias() {
    return (this.parts[0] as Projection).bias;
  }

  forward(x: Tensor): Tensor {
    return this.part(x, 0, this.parts.length);
  }

  part(x: Tensor, first: number, end: number): Tensor {
    return concat(
      this.parts.slice(first, end).map((projection) => projection.forward(x)),
      1,
    );
  }
}

/** A feed-forward network of convolutions. */
class ConvFeedForward extends Module implements FeedForwardNetwork {
  constructor(
    readonly linear1: Projection,
    readonly linear2: Projection,
    readonly activation: Activation,
  ) {
    super();
  }

  forward(x: Tensor): Tensor {
    return this.linear2.forward(this.linear1.forward(x, this.activation));
  }
}

const { gguf: _, ...plain } = bert;

export const squeezeBert: Family = {
  ...plain,
  model: SqueezeBert,
  className: 'SqueezeBert',
  defaults: {
    ...bert.defaults,
    embedding_size: 768,
    q_groups: 4,
    k_groups: 4,
    v_groups: 4,
    post_attention_groups: 1,
    intermediate_groups: 4,
    output_groups: 4,
  },
};
