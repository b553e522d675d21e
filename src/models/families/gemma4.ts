import { isObject } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadAttention } from '../../nn/attention.js';
import { Embedding } from '../../nn/embedding.js';
import type { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, TransformerLayer } from '../../nn/layer.js';
import { MixtureOfExperts } from '../../nn/mixture-of-experts.js';
import { Module } from '../../nn/module.js';
import { IdentityNorm, type Norm, PlainRMSNorm, RMSNorm } from '../../nn/norm.js';
import { PerLayerGate, PerLayerInputs, type PerLayerOptions, PerLayerWiring } from '../../nn/per-layer-inputs.js';
import { KeysAsValuesAttention, NormedValueAttention, ReusingAttention } from '../../nn/shared-keys.js';
import type { StackParts } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { concat } from '../../ops/move.js';
import { activationOf, rotaryOf, windowOf } from '../config-values.js';
import type { Family, GgufFamily, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { eachLayer, type Json, ModelConfig, numberIn } from '../model-config.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Gemma2 } from './gemma.js';
import { decoderDefaults, ggufPostNames, ggufWindows, llamaAttentionOptions, llamaFeedForward } from './llama.js';

/**
 * Gemma 4 (Google 2026). Heads are larger in layers without a window, and values are normalized. Each layer can read
 * its own embedding of the tokens (per-layer inputs). The last layers can reuse the keys and values of an earlier
 * layer. Experts can run beside the dense network.
 */
export class Gemma4 extends Gemma2 {
  /** Embeddings for all layers side by side, [vocabulary, layers · width]. Null if there are no per-layer inputs. */
  readonly layerTokens: Embedding | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const features = config.size('num_hidden_layers') * config.number('hidden_size_per_layer_input');
    const rows = () => config.size('vocab_size_per_layer_input');
    this.layerTokens = hasOwnInputs(config) ? new Embedding(init, rows(), features) : null;
  }

  protected override headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const out = () => vocabularyOutput(init, this.tokens, config.flag('tie_word_embeddings'), false);
    return chooseHead(config, head, { 'language-model': () => new PredictionHead({ pick: 'tokens', out: out() }) });
  }

  protected override norm(init: Initializer, config: ModelConfig): RMSNorm {
    return new RMSNorm(init, config.size('hidden_size'), config.number('rms_norm_eps'));
  }

  protected override embedTarget(ids: Tensor): Tensor {
    const x = super.embedTarget(ids);
    const scale = Math.sqrt(this.settings.number('hidden_size_per_layer_input'));
    const layerInputs = this.layerTokens?.forward(this.layerIds(ids), { scale, paddingId: this.paddingId });
    return layerInputs ? concat([x, layerInputs], -1) : x; // [N, hidden | layers · width]
  }

  /** @internal The embeddings of tokens without per-layer inputs, float32 [N, hidden]. */
  embedWords(ids: Tensor): Tensor {
    return super.embedTarget(ids);
  }

  /** @internal Number of features of a token between layers. */
  get width(): number {
    return this.settings.size('hidden_size');
  }

  /** @internal The last attention of a kind of layer with keys of its own. Throws FormatError if there is none. */
  keysOf(kind: string): NormedValueAttention {
    const layer = this.decoder.layers.findLast(
      ({ selfAttn }, i) => this.settings.list('layer_types')[i] === kind && selfAttn instanceof NormedValueAttention,
    );
    if (layer) return layer.selfAttn as NormedValueAttention;
    throw new FormatError(`config.json: the draft model has ${kind} layers, but the model has none`);
  }

  /** Returns the rows of `layerTokens` that the tokens read. */
  protected layerIds(ids: Tensor): Tensor {
    return ids;
  }

  protected override stackParts(init: Initializer, config: ModelConfig): StackParts {
    if (!hasOwnInputs(config)) return {};
    return { entry: () => new PerLayerInputs(init, config.size('num_hidden_layers'), perLayerOptions(init, config)) };
  }

  protected override layers(init: Initializer, config: ModelConfig): (i: number) => TransformerLayer {
    const norm = () => this.norm(init, config);
    const isCausal = config.values.use_bidirectional_attention !== 'all';
    if (!isCausal && this.headKind === 'language-model')
      throw new FormatError(
        "config.json: use_bidirectional_attention is 'all': such a model cannot generate; pass head: 'none'",
      );
    const window = (i: number) => {
      const size = windowOf(config, i);
      // Two-sided windows have one more token on each side than in Gemma 3.
      return size === null || isCausal ? size : Math.floor(size / 2) + 2;
    };
    const attention = gemma4Attentions(init, config, this.randomness, { causal: isCausal, window });
    const activation = gemmaActivation(config);
    const branch = (layer: number) => new PerLayerGate(init, { ...perLayerOptions(init, config), layer, activation });
    return (i) =>
      new TransformerLayer({
        selfAttn: () => attention(i),
        feedForward: () => this.network(init, config, i),
        norm: (subLayer) => (subLayer === 1 && config.flag('enable_moe_block') ? new IdentityNorm() : norm()),
        postNorm: norm,
        wiring: () => new PerLayerWiring(init, hasOwnInputs(config) ? () => branch(i) : null),
        randomness: this.randomness,
      });
  }

  protected override network(init: Initializer, config: ModelConfig, i: number): FeedForwardNetwork {
    const norm = () => this.norm(init, config);
    const dFF = networkWidth(config, i);
    const dense = () => llamaFeedForward(init, config, { dFF, activation: gemmaActivation(config) });
    return config.flag('enable_moe_block') ? new DenseAndExperts(init, config, dense, norm) : dense();
  }

  /** Checkpoints also contain projections of keys and values for layers that reuse those of an earlier layer. */
  override ignores(name: string): boolean {
    const [, layer] = /layers\.(\d+)\.self_attn\.(?:k_proj|v_proj|k_norm|v_norm)\./.exec(name) ?? [];
    return layer !== undefined && keySourceOf(this.settings, Number(layer)) !== null;
  }

  protected override get stateNames(): StateNames {
    return {
      ...attentionNames(this.settings, 'decoder'),
      layer_tokens: 'model.embed_tokens_per_layer',
      'decoder.entry.projection': 'model.per_layer_model_projection',
      'decoder.entry.norm': 'model.per_layer_projection_norm',
      ...perLayerNames('decoder', 'model.layers.*'),
      ...(this.settings.flag('enable_moe_block') && expertNames(this.settings)),
      ...super.stateNames,
    };
  }
}

/**
 * The sum of the dense network and of a mixture of experts. Each has a norm before and after; the router reads `x`
 * itself.
 */
class DenseAndExperts extends Module implements FeedForwardNetwork {
  readonly denseNorm: Norm;
  readonly dense: FeedForward;
  readonly densePostNorm: Norm;
  readonly expertNorm: Norm;
  readonly experts: MixtureOfExperts;
  readonly expertPostNorm: Norm;

  constructor(init: Initializer, config: ModelConfig, dense: () => FeedForward, norm: () => Norm) {
    super();
    const dModel = config.size('hidden_size');
    this.denseNorm = norm();
    this.dense = dense();
    this.densePostNorm = norm();
    this.expertNorm = norm();
    this.experts = new MixtureOfExperts(init, {
      dModel,
      dFF: config.size('moe_intermediate_size'),
      experts: config.size('num_experts'),
      chosen: config.size('top_k_experts'),
      activation: gemmaActivation(config),
      fused: true,
      normalized: true,
      routerNorm: norm,
      routerScale: dModel ** -0.5,
      expertScales: true,
    });
    this.expertPostNorm = norm();
  }

  forward(x: Tensor): Tensor {
    const dense = this.densePostNorm.forward(this.dense.forward(this.denseNorm.forward(x)));
    const sparse = this.expertPostNorm.forward(this.experts.forward(this.expertNorm.forward(x), x));
    return add(dense, sparse);
  }
}

/** True if the model has per-layer inputs. */
function hasOwnInputs(config: ModelConfig): boolean {
  return config.number('hidden_size_per_layer_input') > 0;
}

export function gemmaActivation(config: ModelConfig) {
  return activationOf(config.text('hidden_activation'));
}

/** Returns the options of the parts that make per-layer inputs. */
export function perLayerOptions(init: Initializer, config: ModelConfig): PerLayerOptions {
  const norm = (features: number) => new RMSNorm(init, features, config.number('rms_norm_eps'));
  return { dModel: config.size('hidden_size'), width: config.size('hidden_size_per_layer_input'), norm };
}

interface Gemma4AttentionOptions {
  readonly causal: boolean;
  /** The window of layer i; null for none. */
  readonly window: (i: number) => number | null;
  /** The attention whose keys all layers of a kind reuse. Default: `num_kv_shared_layers` decides. */
  readonly keysOf?: ((kind: string) => NormedValueAttention) | undefined;
}

/** Returns a function that makes the attention of layer i. Call it in the order of the layers. */
export function gemma4Attentions(
  init: Initializer,
  config: ModelConfig,
  randomness: Gemma2['randomness'],
  { causal, window, keysOf }: Gemma4AttentionOptions,
): (i: number) => MultiHeadAttention {
  const rotaries = new Map<string, ReturnType<typeof rotaryOf>>();
  const made: MultiHeadAttention[] = [];
  const vNorm = () => new PlainRMSNorm(config.number('rms_norm_eps'));
  return (i) => {
    const kind = String(config.list('layer_types')[i]);
    const { headSize, kvHeads } = headsOf(config, i);
    const key = `${kind} ${headSize}`;
    const rotary = rotaries.get(key) ?? rotaryOf(init, config, { kind, headSize });
    rotaries.set(key, rotary);
    const headNorm = () => new RMSNorm(init, headSize, config.number('rms_norm_eps'));
    const source = keysOf ? null : keySourceOf(config, i);
    const reused = keysOf?.(kind) ?? (source === null ? null : made[source]);
    const options = llamaAttentionOptions(config, randomness, {
      headSize,
      kvHeads,
      rotary,
      causal,
      scale: 1,
      bias: config.flag('attention_bias'),
      window: window(i),
      qNorm: headNorm,
    });
    const Own = usesKeysAsValues(config, i) ? KeysAsValuesAttention : NormedValueAttention;
    const attention =
      reused === null
        ? new Own(init, { ...options, kNorm: headNorm, vNorm })
        : new ReusingAttention(init, options, reused as NormedValueAttention);
    made.push(attention);
    return attention;
  };
}

/** Head sizes of a layer: those of `per_layer_config`, or those of all layers. */
function headsOf(config: ModelConfig, i: number): { headSize: number; kvHeads: number } {
  const { per_layer_config: layers } = config.values;
  const layerConfig = new ModelConfig({ ...config.values, ...(isObject(layers) && (layers[i] as Json | undefined)) });
  return { headSize: layerConfig.size('head_dim'), kvHeads: layerConfig.size('num_key_value_heads') };
}

function usesKeysAsValues(config: ModelConfig, i: number): boolean {
  return config.flag('attention_k_eq_v') && windowOf(config, i) === null;
}

/**
 * Returns the layer whose keys and values layer `i` reuses: the last one of the same kind with its own. Returns null if
 * layer `i` has its own.
 */
function keySourceOf(config: ModelConfig, i: number): number | null {
  const first = config.size('num_hidden_layers') - (config.numberOrNull('num_kv_shared_layers') ?? 0);
  if (i < first) return null;
  const types = config.list('layer_types');
  const source = types.slice(0, first).lastIndexOf(types[i]);
  if (source >= 0) return source;
  throw new FormatError(
    `config.json: num_kv_shared_layers leaves no ${String(types[i])} layer with its own keys, which layer ${i} would read`,
  );
}

/**
 * Returns the names of the attention projections of each layer. A layer has its own keys and values, keys alone, or
 * neither.
 */
export function attentionNames(config: ModelConfig, stack: string): StateNames {
  const layers = eachLayer(config.values, (i) => {
    const projections =
      keySourceOf(config, i) !== null ? ['q'] : usesKeysAsValues(config, i) ? ['q', 'k'] : ['q', 'k', 'v'];
    const names = projections.map((name) => `model.layers.${i}.self_attn.${name}_proj`);
    return [`${stack}.layers.${i}.self_attn.qkv`, names] as const;
  });
  return Object.fromEntries(layers);
}

/** Returns the names of the wirings of a stack. `block`: path of the module that reads per-layer inputs. */
export function perLayerNames(stack: string, block: string): StateNames {
  const path = `${stack}.layers.*.wiring`;
  return {
    [`${path}.per_layer.gate`]: `${block}.per_layer_input_gate`,
    [`${path}.per_layer.projection`]: `${block}.per_layer_projection`,
    [`${path}.per_layer.norm`]: `${block}.post_per_layer_input_norm`,
    [`${path}.scalar`]: 'model.layers.*.layer_scalar',
  };
}

function expertNames(config: ModelConfig): StateNames {
  const [path, layer] = ['decoder.layers.*.feed_forward', 'model.layers.*'];
  const leading = [config.size('num_experts')];
  return {
    [`${path}.dense_norm`]: `${layer}.pre_feedforward_layernorm`,
    [`${path}.dense.linear1`]: `${layer}.mlp.gate_proj`,
    [`${path}.dense.linear2`]: `${layer}.mlp.down_proj`,
    [`${path}.dense.linear3`]: `${layer}.mlp.up_proj`,
    [`${path}.dense_post_norm`]: `${layer}.post_feedforward_layernorm_1`,
    [`${path}.expert_norm`]: `${layer}.pre_feedforward_layernorm_2`,
    [`${path}.expert_post_norm`]: `${layer}.post_feedforward_layernorm_2`,
    [`${path}.experts.router_norm.weight`]: `${layer}.router.scale`,
    [`${path}.experts.router`]: `${layer}.router.proj`,
    [`${path}.experts.expert_scales`]: `${layer}.router.per_expert_scale`,
    [`${path}.experts.gates.weight`]: { name: `${layer}.experts.gate_up_proj`, leading },
    [`${path}.experts.downs.weight`]: { name: `${layer}.experts.down_proj`, leading },
  };
}

/** Completes kinds of layers, rotations and head sizes that the config does not set. */
export function completeLayers(config: Record<string, unknown>, globalHeads: unknown, fullRope: Json): void {
  const pattern = Number(config.sliding_window_pattern ?? 6);
  const last = numberIn(config, 'num_hidden_layers') - 1;
  const types = Array.isArray(config.layer_types)
    ? config.layer_types
    : eachLayer(config, (i) => ((i + 1) % pattern ? 'sliding_attention' : 'full_attention'));
  config.layer_types = types.map((type, i) => (i === last ? 'full_attention' : type)); // transformers forces it
  config.rope_parameters = ropeByKind(config.rope_parameters, {
    sliding_attention: { rope_type: 'default', rope_theta: 10000 },
    full_attention: fullRope,
  });
  const isFull = (i: number) => (config.layer_types as unknown[])[i] === 'full_attention';
  const heads = {
    head_dim: config.global_head_dim ?? 512,
    ...(globalHeads != null && { num_key_value_heads: globalHeads }),
  };
  config.per_layer_config ??= Object.fromEntries(
    eachLayer(config, (i) => [i, heads] as const).filter(([i]) => isFull(i)),
  );
  checkOverrides(config.per_layer_config as Json);
}

/**
 * Returns the rotation of each kind of layer. With the type `default`, whole heads rotate, whatever the config says.
 */
function ropeByKind(ropeParameters: unknown, usual: Json): Json {
  if (!isObject(ropeParameters)) return usual;
  const whole = (rope: unknown) =>
    isObject(rope) && (rope.rope_type ?? 'default') === 'default' ? { ...rope, partial_rotary_factor: 1 } : rope;
  return Object.fromEntries(Object.entries(ropeParameters).map(([kind, rope]) => [kind, whole(rope)]));
}

/** Throws FormatError for a setting of single layers that is not supported. */
function checkOverrides(layers: Json): void {
  for (const [layer, settings] of Object.entries(layers))
    for (const name of Object.keys((settings ?? {}) as object)) {
      if (['head_dim', 'num_key_value_heads'].includes(name)) continue;
      const expected = 'expected head_dim or num_key_value_heads: nothing else is supported';
      throw new FormatError(`config.json: per_layer_config sets ${name} of layer ${layer}, ${expected}`);
    }
}

const LAYER = 'model.layers.*';

/** The width of a layer's dense network. */
function networkWidth(config: ModelConfig, i: number): number {
  const isWide = config.flag('use_double_wide_mlp') && keySourceOf(config, i) !== null;
  return config.size('intermediate_size') * (isWide ? 2 : 1);
}

/** Names in GGUF files of Gemma 3n and 4. */
export const gemma4GgufNames: GgufFamily['names'] = {
  ...ggufPostNames,
  per_layer_token_embd: 'model.embed_tokens_per_layer',
  per_layer_model_proj: 'model.per_layer_model_projection',
  per_layer_proj_norm: 'model.per_layer_projection_norm',
  'blk.*.ffn_norm': `${LAYER}.pre_feedforward_layernorm`,
  'blk.*.inp_gate': `${LAYER}.per_layer_input_gate`,
  'blk.*.proj': `${LAYER}.per_layer_projection`,
  'blk.*.post_norm': `${LAYER}.post_per_layer_input_norm`,
};

/** Settings of a GGUF file. Sizes of heads without a suffix are those of layers without a window. */
function settingsOf(file: GgufSettings): Json {
  const kinds = file.layerTypes(6);
  const ofKind = (list: readonly number[] | undefined, kind: string) => list?.[kinds.indexOf(kind as never)];
  const [near, full] = ['sliding_attention', 'full_attention'];
  const layers = Array.from({ length: file.layers }, (_, i) => i);
  const widths = file.ofLayers('feed_forward_length') ?? [];
  const heads = file.ofLayers('attention.head_count_kv');
  const fullHeads = ofKind(heads, full as string);
  const has = (i: number, name: string) => file.tensors.has(`blk.${i}.${name}.weight`);
  const experts = file.number('expert_count') ?? 0;
  const size = file.needed('attention.key_length');
  const entries = layers
    .filter((i) => kinds[i] === full)
    .map((i) => [i, { head_dim: size, num_key_value_heads: fullHeads }]);
  return {
    ...file.decoder(),
    head_dim: file.needed('attention.key_length_swa'),
    num_key_value_heads: ofKind(heads, near as string) ?? fullHeads,
    per_layer_config: Object.fromEntries(entries),
    sliding_window: file.needed('attention.sliding_window'),
    layer_types: kinds,
    rope_parameters: {
      full_attention: {
        rope_type: 'proportional',
        rope_theta: file.number('rope.freq_base') ?? 1000000,
        partial_rotary_factor: rotatingShare(file),
      },
      sliding_attention: { rope_type: 'default', rope_theta: file.number('rope.freq_base_swa') ?? 10000 },
    },
    intermediate_size: Math.min(...widths),
    use_double_wide_mlp: Math.max(...widths) > Math.min(...widths),
    num_kv_shared_layers: file.number('attention.shared_kv_layers') ?? 0,
    attention_k_eq_v: layers.some((i) => has(i, 'attn_k') && !has(i, 'attn_v')),
    final_logit_softcapping: file.number('final_logit_softcapping') ?? null,
    hidden_size_per_layer_input: file.number('embedding_length_per_layer_input') ?? 0,
    ...(file.tensors.has('per_layer_token_embd.weight') && {
      vocab_size_per_layer_input: file.rows('per_layer_token_embd.weight'),
    }),
    ...(experts > 0 && {
      enable_moe_block: true,
      num_experts: experts,
      top_k_experts: file.needed('expert_used_count'),
      moe_intermediate_size: file.needed('expert_feed_forward_length'),
    }),
  };
}

/** The size of heads in layers without a window. Throws ArgumentError if it differs between them. */
function fullHeadSize(config: ModelConfig): number {
  const sizes = config.list('layer_types').map((kind, i) => {
    const own = (config.object('per_layer_config')[i] ?? {}) as Json;
    return { isFull: kind === 'full_attention', size: Number(own.head_dim ?? config.size('head_dim')) };
  });
  const full = new Set(sizes.filter(({ isFull }) => isFull).map(({ size }) => size));
  if (full.size > 1 || sizes.some(({ isFull, size }) => !isFull && size !== config.size('head_dim')))
    throw new ArgumentError('saveGguf: GGUF files have one size of heads for layers with a window, and one for others');
  return [...full][0] ?? config.size('head_dim');
}

/** The settings that `saveGguf` writes. */
function ggufSaved(config: ModelConfig): Record<string, GgufNumber> {
  expectForGguf(config, { attention_bias: false, use_bidirectional_attention: null });
  const [near, full] = [config.size('head_dim'), fullHeadSize(config)];
  const heads = config.list('layer_types').map((_, i) => {
    const own = (config.object('per_layer_config')[i] ?? {}) as Json;
    return Number(own.num_key_value_heads ?? config.size('num_key_value_heads'));
  });
  const limit = config.numberOrNull('final_logit_softcapping');
  const perLayer = config.number('hidden_size_per_layer_input');
  if (perLayer > 0) expectForGguf(config, { vocab_size_per_layer_input: config.size('vocab_size') });
  return {
    ...ggufWindows(config),
    'attention.key_length': { uint32: full },
    'attention.value_length': { uint32: full },
    'attention.key_length_swa': { uint32: near },
    'attention.value_length_swa': { uint32: near },
    'attention.head_count_kv': { int32s: heads },
    'attention.shared_kv_layers': { uint32: config.number('num_kv_shared_layers') },
    'rope.dimension_count_swa': { uint32: near },
    feed_forward_length: { int32s: eachLayer(config.values, (i) => networkWidth(config, i)) },
    embedding_length_per_layer_input: { uint32: perLayer },
    ...(limit !== null && { final_logit_softcapping: { float32: limit } }),
    ...(config.flag('enable_moe_block') && {
      expert_count: { uint32: config.size('num_experts') },
      expert_used_count: { uint32: config.size('top_k_experts') },
      expert_feed_forward_length: { uint32: config.size('moe_intermediate_size') },
    }),
  };
}

/** Settings by Llama's names. Files always have divisors of layers without a window. */
function ggufUsual(config: ModelConfig): Json {
  const all = config.object('rope_parameters');
  const full = all.full_attention as Json;
  const isPlain = (full.rope_type ?? 'default') === 'default';
  const proportional = isPlain ? { ...full, rope_type: 'proportional', partial_rotary_factor: 1 } : full;
  return { head_dim: fullHeadSize(config), rope_parameters: { ...all, full_attention: proportional } };
}

/** Divisors from this number on stop a rotation. */
const STOPS = 1e20;

/** The share of a head that rotates in layers without a window. The divisors of other frequencies are huge. */
function rotatingShare(file: GgufSettings): number {
  const divisors = file.ropeDivisors ?? [1];
  const rotating = divisors.filter((divisor) => divisor === 1).length;
  if (divisors.every((divisor, i) => (i < rotating ? divisor === 1 : divisor > STOPS)))
    return rotating / divisors.length;
  throw new FormatError(
    'rope_freqs.weight scales frequencies, expected 1 for those that rotate and 1e30 for the others',
  );
}

export const gemma4: Family = {
  model: Gemma4,
  className: 'Gemma4Text',
  generationClass: 'Gemma4ForCausalLM',
  defaults: {
    ...decoderDefaults,
    vocab_size: 262144,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 30,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    max_position_embeddings: 131072,
    pad_token_id: 0,
    eos_token_id: 1,
    bos_token_id: 2,
    tie_word_embeddings: true,
    attention_bias: false,
    sliding_window: 512,
    layer_types: null,
    final_logit_softcapping: null,
    use_bidirectional_attention: null,
    vocab_size_per_layer_input: 262144,
    hidden_size_per_layer_input: 256,
    attention_k_eq_v: false,
    num_kv_shared_layers: 0,
    enable_moe_block: false,
    use_double_wide_mlp: false,
    num_experts: null,
    top_k_experts: null,
    moe_intermediate_size: null,
  },
  complete: (config) => {
    const globalHeads = config.attention_k_eq_v === true ? config.num_global_key_value_heads : null;
    delete config.sliding_window_pattern; // transformers does not read it
    const rope = { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1000000 };
    completeLayers(config, globalHeads, rope);
  },
  rope: { theta: 1000000, sliding: { theta: 10000, thetaName: 'rope_local_base_freq', isScaled: false } },
  gguf: {
    names: {
      ...gemma4GgufNames,
      'blk.*.layer_output_scale.weight': `${LAYER}.layer_scalar`,
      'blk.*.post_ffw_norm_1': `${LAYER}.post_feedforward_layernorm_1`,
      'blk.*.post_ffw_norm_2': `${LAYER}.post_feedforward_layernorm_2`,
      'blk.*.pre_ffw_norm_2': `${LAYER}.pre_feedforward_layernorm_2`,
      'blk.*.ffn_gate_inp.weight': `${LAYER}.router.proj.weight`,
      'blk.*.ffn_gate_inp.scale': `${LAYER}.router.scale`,
      'blk.*.ffn_down_exps.scale': `${LAYER}.router.per_expert_scale`,
      'blk.*.ffn_down_exps.weight': `${LAYER}.experts.down_proj`,
      'blk.*.ffn_gate_up_exps.weight': `${LAYER}.experts.gate_up_proj`,
    },
    joined: [
      {
        name: `${LAYER}.experts.gate_up_proj`,
        of: ['blk.*.ffn_gate_exps.weight', 'blk.*.ffn_up_exps.weight'],
      },
    ],
    saved: ggufSaved,
    usual: ggufUsual,
    config: settingsOf,
  },
};
