import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { gather } from '../../ops/move.js';
import { type BartStackOptions, bartStack, bartStackNames } from '../bart-stack.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { Json } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { seq2seqHead } from '../seq2seq-head.js';
import { Seq2SeqModel } from '../seq2seq-model.js';

/** Differences between the families similar to BART. */
export interface BartDesign extends BartStackOptions {
  /** True if a layer norm of the embeddings comes before the first layer. */
  readonly embeddingNorm: boolean;
  /** Row of the first token's position in the table of learned positions. */
  readonly firstPosition: number;
  /** Number of positions of the encoder and of the decoder. Default: `max_position_embeddings`. */
  readonly maxPositions?: (side: 'encoder' | 'decoder') => number;
  /** Computes sinusoidal position embeddings, [length or more, dModel]. Null if positions are learned. */
  readonly sinusoids: ((length: number, dModel: number) => Float32Array) | null;
  /**
   * True if checkpoints may contain the sinusoids, one table for the encoder and one for the decoder. Their values are
   * then loaded, because checkpoints in half precision have rounded values.
   */
  readonly storesSinusoids: boolean;
  /** True if logits have a bias. It is loaded, but not trained. */
  readonly logitsBias: boolean;
  readonly heads: readonly HeadKind[];
}

export const bartDesign: BartDesign = {
  wiring: 'post',
  finalNorm: false,
  embeddingNorm: true,
  firstPosition: 2,
  sinusoids: null,
  storesSinusoids: false,
  logitsBias: true,
  heads: ['none', 'language-model', 'sequence-classification', 'question-answering'],
};

/** BART (Lewis et al. 2019, arXiv 1910.13461): the Transformer of 2017 with learned positions and a norm before it. */
export class Bart extends Seq2SeqModel {
  /** Embedding of tokens that the encoder and the decoder share; null if each has its own. */
  readonly tokens: Embedding | null;
  readonly sourceTokens: Embedding;
  readonly targetTokens: Embedding;
  readonly sourcePositions: Embedding | null;
  readonly targetPositions: Embedding | null;
  readonly sourceNorm: LayerNorm | null;
  readonly targetNorm: LayerNorm | null;
  readonly sourceDropout: Dropout;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;
  /** float32 [1, vocabulary]: added to logits; not trained. */
  readonly finalLogitsBias: Tensor | null;
  /** float32 [positions or more, dModel]: computed positions; not trained. */
  readonly sourceSinusoids: Tensor | null;
  readonly targetSinusoids: Tensor | null;
  readonly #scale: number;
  readonly #design: BartDesign;

  constructor(context: FamilyContext, design: BartDesign = bartDesign) {
    super(context, design.heads);
    this.#design = design;
    const { init, config, head } = context;
    const { embeddingNorm, sinusoids } = design;
    const dModel = config.size('d_model');
    const { maxPositions = () => config.size('max_position_embeddings') } = design;
    const table = (rows: number) => new Embedding(init, rows, dModel);
    this.#scale = config.flag('scale_embedding') ? Math.sqrt(dModel) : 1;
    this.tokens = this.sharesTokens ? table(config.size('vocab_size')) : null;
    this.sourceTokens = this.tokens ?? table(config.size('vocab_size'));
    this.targetTokens = this.tokens ?? table(this.vocabSize);
    this.sourcePositions = sinusoids ? null : table(maxPositions('encoder') + design.firstPosition);
    this.targetPositions = sinusoids ? null : table(maxPositions('decoder') + design.firstPosition);
    const waves = sinusoids?.(maxPositions('encoder'), dModel);
    const computed = () => (waves ? init.table(waves.length / dModel, dModel, () => waves) : null);
    this.sourceSinusoids = computed();
    this.targetSinusoids = design.storesSinusoids ? computed() : this.sourceSinusoids;
    this.sourceNorm = embeddingNorm ? new LayerNorm(init, dModel) : null;
    this.targetNorm = embeddingNorm ? new LayerNorm(init, dModel) : null;
    this.sourceDropout = new Dropout(config.number('dropout'), this.randomness);
    this.targetDropout = new Dropout(config.number('dropout'), this.randomness);
    this.encoder = bartStack(init, config, 'encoder', this.randomness, design);
    this.decoder = bartStack(init, config, 'decoder', this.randomness, design);
    this.head = seq2seqHead(context, this.targetTokens, this.tiesHead, this.randomness);
    const isBiased = head === 'language-model' && design.logitsBias;
    this.finalLogitsBias = isBiased ? init.table(1, this.vocabSize, () => new Float32Array(this.vocabSize)) : null;
  }

  /** True if source and target share one embedding. */
  protected get sharesTokens(): boolean {
    return this.settings.flag('tie_word_embeddings');
  }

  /** True if logits come from the embedding of targets. */
  protected get tiesHead(): boolean {
    return this.settings.flag('tie_word_embeddings');
  }

  protected embedSource(ids: Tensor, positions: Tensor): Tensor {
    return this.sourceDropout.forward(
      this.#embed(
        this.sourceTokens,
        this.#rows(this.sourcePositions, this.sourceSinusoids),
        this.sourceNorm,
        ids,
        positions,
      ),
    );
  }

  /** Embeddings of source tokens, before positions are added. */
  protected embedWords(ids: Tensor): Tensor {
    return this.sourceTokens.forward(ids, {
      scale: this.#scale,
      paddingId: this.settings.numberOrNull('pad_token_id'),
    });
  }

  /** The input of the encoder's layers for rows of tokens, float32 [N, dModel], at `positions`. */
  protected placeSource(x: Tensor, positions: Tensor): Tensor {
    const table = this.#rows(this.sourcePositions, this.sourceSinusoids) as Tensor;
    const embedded = add(x, gather(table, positions));
    return this.sourceDropout.forward(this.sourceNorm?.forward(embedded) ?? embedded);
  }

  protected embedTarget(ids: Tensor, positions: Tensor): Tensor {
    return this.targetDropout.forward(
      this.#embed(
        this.targetTokens,
        this.#rows(this.targetPositions, this.targetSinusoids),
        this.targetNorm,
        ids,
        positions,
      ),
    );
  }

  /** Returns a table with one row per position, or null if the model has no such table. */
  #rows(learnt: Embedding | null, computed: Tensor | null): Tensor | null {
    return learnt?.weight.rows(this.#design.firstPosition, learnt.weight.shape[0] as number) ?? computed;
  }

  #embed(
    tokens: Embedding,
    positions: Tensor | null,
    norm: LayerNorm | null,
    ids: Tensor,
    tokenPositions: Tensor,
  ): Tensor {
    const positionIds = this.positionIdsOf(ids, tokenPositions);
    const paddingId = this.settings.numberOrNull('pad_token_id');
    const x = tokens.forward(ids, { scale: this.#scale, positions, positionIds, paddingId });
    return norm?.forward(x) ?? x;
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.columns;
  }

  /** Rows of the tokens in the table of positions. */
  protected positionIdsOf(_ids: Tensor, positions: Tensor): Tensor {
    return positions;
  }

  override logitsOf(features: Tensor): Tensor {
    const logits = super.logitsOf(features);
    return this.finalLogitsBias ? add(logits, this.finalLogitsBias) : logits;
  }

  protected override get shiftsSource(): boolean {
    return true;
  }

  protected override get stateNames(): StateNames {
    const classifier = this.headKind === 'sequence-classification' ? 'classification_head.out_proj' : 'qa_outputs';
    return {
      tokens: 'model.shared',
      source_tokens: 'model.encoder.embed_tokens',
      target_tokens: 'model.decoder.embed_tokens',
      source_positions: 'model.encoder.embed_positions',
      target_positions: 'model.decoder.embed_positions',
      source_sinusoids: this.#storedAs('model.encoder'),
      target_sinusoids: this.#storedAs('model.decoder'),
      source_norm: 'model.encoder.layernorm_embedding',
      target_norm: 'model.decoder.layernorm_embedding',
      ...bartStackNames,
      'head.dense': 'classification_head.dense',
      'head.out': this.headKind === 'language-model' ? 'lm_head' : classifier,
    };
  }

  #storedAs(stack: string): string | [null] {
    return this.#design.storesSinusoids ? `${stack}.embed_positions.weight` : [null];
  }
}

/** Defaults of BART and of the families that follow it. */
export const bartDefaults: Json = {
  max_position_embeddings: 1024,
  encoder_layers: 12,
  encoder_ffn_dim: 4096,
  encoder_attention_heads: 16,
  decoder_layers: 12,
  decoder_ffn_dim: 4096,
  decoder_attention_heads: 16,
  encoder_layerdrop: 0,
  decoder_layerdrop: 0,
  activation_function: 'gelu',
  d_model: 1024,
  dropout: 0.1,
  attention_dropout: 0,
  activation_dropout: 0,
  classifier_dropout: 0,
  scale_embedding: false,
  pad_token_id: 1,
  bos_token_id: 0,
  eos_token_id: 2,
  decoder_start_token_id: 2,
  forced_eos_token_id: 2,
  tie_word_embeddings: true,
};

export const bart: Family = {
  model: Bart,
  className: 'Bart',
  generationClass: 'BartForConditionalGeneration',
  defaults: { ...bartDefaults, num_labels: 3 },
  vocabulary: 'roberta',
};
