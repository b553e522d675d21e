import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { DraftCount } from '../../generate/draft-count.js';
import type { Drafter } from '../../generate/drafter.js';
import type { FeatureDraft } from '../../generate/generate-options.js';
import type { DecoderState } from '../../nn/decoder-state.js';
import { Embedding } from '../../nn/embedding.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear, TiedLinear } from '../../nn/linear.js';
import { inference, Module } from '../../nn/module.js';
import { RMSNorm } from '../../nn/norm.js';
import { PerLayerWiring } from '../../nn/per-layer-inputs.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { matmul } from '../../ops/matmul.js';
import { concat } from '../../ops/move.js';
import { windowOf } from '../config-values.js';
import type { ModelConfig } from '../model-config.js';
import { sandwichNames } from './gemma.js';
import { type Gemma4, gemma4Attentions, gemmaActivation, perLayerNames } from './gemma4.js';
import { llamaFeedForward, llamaNames } from './llama.js';

/**
 * The draft model of a Gemma 4 (Google 2026). Its layers have no keys of their own: they attend to those of the model,
 * in the model's decoding state. It reads one token at a time, and the model's features before it.
 */
export class Gemma4Assistant extends Module implements FeatureDraft {
  readonly tokens: Embedding;
  /** The projection to the logits of all tokens, by their embedding; null with clusters. */
  readonly out: TiedLinear | null;
  /** From the model's embedding and features, side by side, to the features of the layers, and back. */
  readonly entry: Linear;
  readonly exit: Linear;
  readonly decoder: Stack;
  /** Logits of clusters of tokens. Only tokens of the best clusters are ranked. Null if all tokens are. */
  readonly clusters: Linear | null;
  readonly #model: Gemma4;
  /** Number of clusters that are ranked. */
  readonly #chosen: number;
  /** The tokens of each cluster, one cluster after the other. */
  readonly #ordering: ArrayLike<number>;

  /**
   * `config` is that of the checkpoint, `text` the complete settings of its layers. `ordering`: the tokens of each
   * cluster, one cluster after the other. Throws FormatError.
   */
  constructor(init: Initializer, model: Gemma4, config: ModelConfig, text: ModelConfig, ordering: ArrayLike<number>) {
    super();
    this.#model = model;
    this.#ordering = ordering;
    const dModel = config.size('backbone_hidden_size');
    const textSize = text.size('hidden_size');
    if (dModel !== model.width)
      throw new FormatError(
        `config.json: backbone_hidden_size is ${dModel}, but the model has ${model.width} features: it is for another model`,
      );
    this.tokens = new Embedding(init, text.size('vocab_size'), textSize);
    this.entry = new Linear(init, 2 * dModel, textSize, false);
    this.exit = new Linear(init, textSize, dModel, false);
    const norm = () => new RMSNorm(init, textSize, text.number('rms_norm_eps'));
    const attention = gemma4Attentions(init, text, model.dropoutSource, {
      causal: true,
      window: (i) => windowOf(text, i),
      keysOf: (kind) => model.keysOf(kind),
    });
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: () => attention(i),
        feedForward: () => llamaFeedForward(init, text, { activation: gemmaActivation(text) }),
        norm,
        postNorm: norm,
        wiring: () => new PerLayerWiring(init, null),
      });
    this.decoder = new Stack(text.size('num_hidden_layers'), layer, norm);
    const hasClusters = config.flag('use_ordered_embeddings');
    this.out = hasClusters ? null : new TiedLinear(init, this.tokens.weight, false);
    this.clusters = hasClusters ? new Linear(init, textSize, config.size('num_centroids'), false) : null;
    this.#chosen = hasClusters ? config.size('centroid_intermediate_top_k') : 0;
    if (hasClusters) checkOrdering(ordering, config.size('num_centroids'), text.size('vocab_size'));
  }

  get device(): Device {
    return this.#model.device;
  }

  predicts(model: object): boolean {
    return model === this.#model;
  }

  drafter(): Drafter {
    return new AssistantDrafter(this, this.#model);
  }

  /**
   * Guesses the token after `token`, the newest of `length` tokens, of which `state` has all but this one. `features`:
   * float32 [1, dModel], the model's features before it. The caller disposes of those in the result.
   */
  async guess(
    token: number,
    features: Tensor,
    state: DecoderState,
    length: number,
  ): Promise<{ readonly token: number; readonly features: Tensor }> {
    const { device } = this;
    const { y, next, ranked } = inference(this, () => {
      const embedded = this.#model.embedWords(device.tensor(Int32Array.of(token)));
      const x = this.entry.forward(concat([embedded, features], -1));
      const positions = device.tensor(Int32Array.of(length - 1));
      const parts = [{ sequence: 0, start: length - 2, count: 1 }];
      const y = this.decoder.extend(x, { positions, parts, asSteps: false }, state); // [1, own]
      return { y, next: this.exit.forward(y), ranked: this.clusters?.forward(y) ?? null };
    });
    try {
      const clusters = ranked === null ? null : best(await ranked.data(), this.#chosen);
      return { token: await this.#bestOf(y, clusters), features: next };
    } catch (error) {
      next.dispose();
      throw error;
    } finally {
      y.dispose();
      ranked?.dispose();
    }
  }

  /** The token with the greatest logit, among those of some clusters or among all. */
  async #bestOf(y: Tensor, clusters: readonly number[] | null): Promise<number> {
    const { device } = this;
    const size = this.#ordering.length / ((this.clusters?.weight.shape[1] as number | undefined) ?? 1);
    const tokens = clusters?.flatMap((cluster) =>
      Array.from({ length: size }, (_, i) => this.#ordering[cluster * size + i]),
    );
    const logits = inference(this, () => {
      if (this.out) return this.out.forward(y);
      const rows = this.tokens.forward(device.tensor(Int32Array.from(tokens as number[])));
      return matmul(y, rows, { transposeB: true });
    });
    try {
      const [index] = best(await logits.data(), 1) as [number];
      return tokens ? (tokens[index] as number) : index;
    } finally {
      logits.dispose();
    }
  }

  protected override get stateNames(): StateNames {
    return {
      ...perLayerNames('decoder', 'model.layers.*'),
      ...llamaNames('model'),
      ...sandwichNames('decoder'),
      'decoder.layers.*.self_attn.qkv': ['model.layers.*.self_attn.q_proj'],
      entry: 'pre_projection',
      exit: 'post_projection',
      clusters: 'masked_embedding.centroids',
      out: 'lm_head',
    };
  }
}

/** Indices of the `count` greatest values. */
function best(values: ArrayLike<number>, count: number): number[] {
  const order = Array.from(values, (_, i) => i);
  if (count === 1) return [order.reduce((a, b) => ((values[b] as number) > (values[a] as number) ? b : a))];
  return order.sort((a, b) => (values[b] as number) - (values[a] as number)).slice(0, count);
}

function checkOrdering(ordering: ArrayLike<number>, clusters: number, vocabulary: number): void {
  const isToken = (token: number) => token >= 0 && token < vocabulary;
  if (ordering.length === vocabulary && vocabulary % clusters === 0 && Array.from(ordering).every(isToken)) return;
  throw new FormatError(
    `masked_embedding.token_ordering has ${ordering.length} tokens, expected the ${vocabulary} of the vocabulary, in ${clusters} clusters`,
  );
}

class AssistantDrafter implements Drafter {
  readonly #count = new DraftCount();
  /** Features of the tokens of the latest pass, and the position of the first one. */
  #latest: { readonly start: number; readonly rows: Tensor } | null = null;

  constructor(
    private readonly assistant: Gemma4Assistant,
    private readonly model: Gemma4,
  ) {}

  observe(start: number, features: Tensor): void {
    this.dispose();
    const rows = this.model.device.unscoped(() => features.rows(0, features.shape[0] as number));
    this.#latest = { start, rows };
  }

  async propose(context: readonly number[], max: number, state: DecoderState): Promise<number[]> {
    if (this.#latest === null) return [];
    const { start, rows } = this.#latest;
    const row = context.length - 2 - start;
    if (row < 0 || row >= (rows.shape[0] as number)) return [];
    const tokens: number[] = [];
    let features = this.model.device.unscoped(() => rows.rows(row, row + 1));
    try {
      while (tokens.length < this.#count.within(max)) {
        const newest = tokens.at(-1) ?? (context.at(-1) as number);
        const guess = await this.assistant.guess(newest, features, state, context.length);
        features.dispose();
        features = guess.features;
        tokens.push(guess.token);
      }
    } finally {
      features.dispose();
    }
    return tokens;
  }

  recordAccepted(proposed: number, accepted: number): void {
    this.#count.learn(proposed, accepted);
  }

  dispose(): void {
    this.#latest?.rows.dispose();
    this.#latest = null;
  }
}
