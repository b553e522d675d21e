import { lastOf, type Tensor } from '../../core/tensor.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedAttention,
  type RotaryContext,
} from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { sinusoids } from '../../nn/positions.js';
import type { RotateOptions, Rotation } from '../../nn/rotary-embedding.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotary, rotaryTable } from '../../ops/rotary.js';
import { activationOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { chooseHead, type PredictionHead, wordPredictionNames } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertHeads, bertLayer, bertLayerNames, classifierNames } from './bert.js';

/**
 * RoFormer (Su et al. 2021, arXiv 2104.09864): BERT with rotary positions, which it introduced, and with embeddings of
 * another size.
 */
export class RoFormer extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  /** Projects embeddings to the features of the layers, if the sizes differ. */
  readonly projection: Linear | null;
  readonly rotary: StoredRotation;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('is_decoder', false);
    const [dModel, narrow] = [config.size('hidden_size'), config.size('embedding_size')];
    const { randomness } = this;
    const headSize = Math.trunc(dModel / config.size('num_attention_heads'));
    this.rotary = new StoredRotation(init, config.size('max_position_embeddings'), headSize);
    const Attention = config.flag('rotary_value') ? RotatedValueAttention : MultiHeadAttention;
    const attention = (options: MultiHeadOptions) => new Attention(init, { ...options, rotary: this.rotary });
    this.embeddings = bertEmbeddings(init, config, randomness, { positions: 0 });
    this.projection = narrow === dModel ? null : new Linear(init, narrow, dModel);
    const layer = () => bertLayer(init, config, randomness, attention);
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    const heads = bertHeads(context, this.embeddings.tokens, randomness, {
      classifierActivation: activationOf(config.text('hidden_act')),
      dropsInput: true,
      dropout: config.number('hidden_dropout_prob'),
    });
    this.head = chooseHead(config, context.head, heads);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    const x = this.embeddings.forward(ids, positions, types);
    return this.projection?.forward(x) ?? x;
  }

  /** transformers limits positions to a table of this many rotations. */
  protected override get positionLimit(): number {
    return this.settings.size('max_position_embeddings');
  }

  protected override get bodyName(): string {
    return 'roformer';
  }

  protected override get stateNames(): StateNames {
    const isWords = this.headKind === 'masked-language-model';
    return {
      ...(isWords ? wordPredictionNames(this.settings) : classifierNames(this.headKind)),
      ...embeddingNames('roformer.embeddings'),
      projection: 'roformer.embeddings_project',
      'rotary.sinusoids': TABLE,
      'encoder.layers.*.self_attn.rotary.sinusoids': TABLE,
      ...bertLayerNames('roformer.encoder.layer.*'),
    };
  }
}

const TABLE = 'roformer.encoder.embed_positions.weight';

/**
 * Rotates neighbouring features. Sines and cosines come from the checkpoint, because there they may be rounded to half
 * precision.
 */
class StoredRotation extends Module implements Rotation {
  /** float32 [positions, headSize]: sines, then cosines. Not trained. */
  readonly sinusoids: Tensor;

  constructor(init: Initializer, positions: number, headSize: number) {
    super();
    this.sinusoids = init.table(positions, headSize, () => sinusoids(positions, headSize, { layout: 'halves' }));
  }

  forward(x: Tensor, positions: Tensor, _length: number, { columns }: RotateOptions = {}): Tensor {
    const width = lastOf(this.sinusoids.shape);
    const [sin, cos] = [0, width / 2].map((from) => this.sinusoids.columns(from, from + width / 2)) as [Tensor, Tensor];
    return rotary(x, positions, rotaryTable(cos, sin), { columns });
  }

  lengthOf(longest: number): number {
    return longest;
  }
}

/** Attention that rotates values like queries and keys. */
class RotatedValueAttention extends MultiHeadAttention {
  protected override splitProjections(all: Tensor, context: RotaryContext): ProjectedAttention {
    const queries = this.heads * this.headSize;
    const rotated = this.rotate(all, context);
    return { q: rotated.columns(0, queries), kv: rotated.columns(queries, lastOf(rotated.shape)) };
  }
}

export const roformer: Family = {
  model: RoFormer,
  className: 'RoFormer',
  defaults: {
    ...bert.defaults,
    embedding_size: null,
    max_position_embeddings: 1536,
    rotary_value: false,
    is_decoder: false,
  },
  complete: (config) => {
    config.embedding_size ??= config.hidden_size;
  },
  vocabulary: 'bert',
};
