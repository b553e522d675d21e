import { describeValue } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { AlternatingUpdates, LearnedResidual, StreamEntry, StreamExit } from '../../nn/alternating-updates.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, TransformerLayer } from '../../nn/layer.js';
import { PerLayerGate, PerLayerInputs } from '../../nn/per-layer-inputs.js';
import { normalQuantile, normalShare, sparseGates } from '../../nn/sparse-gates.js';
import type { StackParts } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { less, where } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { permute } from '../../ops/move.js';
import { windowOf } from '../config-values.js';
import type { Family, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { eachLayer, type Json, type ModelConfig, numberIn } from '../model-config.js';
import { Gemma4, gemma4Attentions, gemma4GgufNames, gemmaActivation, perLayerOptions } from './gemma4.js';
import { decoderDefaults, ggufWindows, llamaFeedForward } from './llama.js';

/**
 * Gemma 3n (Google 2025), text only. Several streams of rows pass through the layers. Each layer computes one stream
 * and predicts the others (AltUp). A low-rank residual branch runs beside attention (LAuReL). Each layer also reads its
 * own embedding of the tokens (per-layer inputs). The last layers reuse the keys and values of an earlier layer.
 */
export class Gemma3n extends Gemma4 {
  /** Ids beyond the per-layer table read its first row. */
  protected override layerIds(ids: Tensor): Tensor {
    const rows = this.settings.size('vocab_size_per_layer_input');
    const [limit, none] = [rows, 0].map((id) => ids.device.tensor(Int32Array.of(id)));
    return where(less(ids, limit as Tensor), ids, none as Tensor);
  }

  protected override stackParts(init: Initializer, config: ModelConfig): StackParts {
    const [layers, dModel, streams] = ['num_hidden_layers', 'hidden_size', 'altup_num_inputs'].map((name) =>
      config.size(name),
    ) as [number, number, number];
    const inputs = () => new PerLayerInputs(init, layers, perLayerOptions(init, config));
    return {
      entry: () => new StreamEntry(init, dModel, streams, inputs),
      exit: () => new StreamExit(init, dModel, streams),
      hiddenStates: 'layers',
    };
  }

  protected override layers(init: Initializer, config: ModelConfig): (i: number) => TransformerLayer {
    const norm = () => this.norm(init, config);
    const perLayer = perLayerOptions(init, config);
    const { dModel } = perLayer;
    const activation = gemmaActivation(config);
    const attention = gemma4Attentions(init, config, this.randomness, {
      causal: true,
      window: (i) => windowOf(config, i),
    });
    const updates = (layer: number) =>
      new AlternatingUpdates(init, {
        dModel,
        streams: config.size('altup_num_inputs'),
        active: config.number('altup_active_idx'),
        clip: config.numberOrNull('altup_coef_clip'),
        norm,
        residual: () => new LearnedResidual(init, dModel, config.size('laurel_rank'), norm),
        perLayer: () => new PerLayerGate(init, { ...perLayer, layer, activation }),
        scaled: config.flag('altup_correct_scale'),
      });
    return (i) =>
      new TransformerLayer({
        selfAttn: () => attention(i),
        feedForward: () => this.network(init, config, i),
        norm,
        postNorm: norm,
        wiring: () => updates(i),
        randomness: this.randomness,
      });
  }

  protected override network(init: Initializer, config: ModelConfig, i: number): FeedForwardNetwork {
    const [dFF, sparsity] = ['intermediate_size', 'activation_sparsity_pattern'].map((name) => config.list(name)[i]);
    return llamaFeedForward(init, config, {
      dFF: dFF as number,
      gateFilter: sparsity ? sparseGates(sparsity as number) : null,
      activation: gemmaActivation(config),
    });
  }

  /** Returns hidden states in transformers' layout: [streams, B, T, hidden]. */
  protected override shownState(state: Tensor): Tensor {
    const [batch, time] = state.shape as [number, number];
    return permute(contiguous(state).reshape(batch, time, this.settings.size('altup_num_inputs'), -1), [2, 0, 1, 3]);
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['decoder.layers.*.wiring', 'model.layers.*'];
    return {
      [`${path}.router_norm`]: `${layer}.altup.router_norm`,
      [`${path}.router`]: `${layer}.altup.modality_router`,
      [`${path}.prediction`]: `${layer}.altup.prediction_coefs`,
      [`${path}.correction`]: `${layer}.altup.correction_coefs`,
      [`${path}.per_layer_scale`]: `${layer}.altup.correct_output_scale`,
      [`${path}.residual.left`]: `${layer}.laurel.linear_left`,
      [`${path}.residual.right`]: `${layer}.laurel.linear_right`,
      [`${path}.residual.norm`]: `${layer}.laurel.post_laurel_norm`,
      'decoder.entry.inputs.projection': 'model.per_layer_model_projection',
      'decoder.entry.inputs.norm': 'model.per_layer_projection_norm',
      'decoder.entry.projections': 'model.altup_projections',
      'decoder.exit.projections': 'model.altup_unembed_projections',
      ...super.stateNames,
    };
  }
}

/**
 * Replaces a setting that is one number by a list with a number for each layer. Throws FormatError for a list of
 * another length.
 */
function ofLayers(config: Record<string, unknown>, name: string): void {
  const value = config[name];
  const list = Array.isArray(value) ? value : eachLayer(config, () => value);
  const layers = numberIn(config, 'num_hidden_layers');
  if (list.length !== layers || !list.every((item) => typeof item === 'number'))
    throw new FormatError(
      `config.json: ${name} is ${describeValue(value)}, expected a number for each of ${layers} layers`,
    );
  config[name] = list;
}

/** Settings of a GGUF file. It holds a number of standard deviations instead of the share of sparse gates. */
function settingsOf(file: GgufSettings): Json {
  const cutoffs = file.ofLayers('activation_sparsity_scale') ?? [];
  const share = (cutoff: number) => Number(normalShare(cutoff).toPrecision(6));
  return {
    ...file.decoder(),
    sliding_window: file.needed('attention.sliding_window'),
    layer_types: file.layerTypes(5),
    num_kv_shared_layers: file.number('attention.shared_kv_layers') ?? 0,
    final_logit_softcapping: file.number('final_logit_softcapping') ?? 30, // llama.cpp's default
    vocab_size_per_layer_input: file.rows('per_layer_token_embd.weight'),
    hidden_size_per_layer_input: file.needed('embedding_length_per_layer_input'),
    altup_active_idx: file.number('altup.active_idx') ?? 0,
    altup_num_inputs: file.number('altup.num_inputs') ?? 4,
    laurel_rank: file.rows('blk.0.laurel_l.weight'),
    intermediate_size: file.ofLayers('feed_forward_length'),
    activation_sparsity_pattern: Array.from({ length: file.layers }, (_, i) => share(cutoffs[i] ?? -Infinity)),
  };
}

/** The settings that `saveGguf` writes. llama.cpp computes only models with the sizes of the published ones. */
function ggufSaved(config: ModelConfig): Record<string, GgufNumber> {
  const sizes = { altup_num_inputs: 4, altup_active_idx: 0, laurel_rank: 64, hidden_size_per_layer_input: 256 };
  expectForGguf(config, { ...sizes, attention_bias: false, altup_correct_scale: true, final_logit_softcapping: 30 });
  const [layers, reusing] = [config.size('num_hidden_layers'), config.number('num_kv_shared_layers')];
  if (reusing !== Math.max(0, layers - OWN_KEYS))
    throw new ArgumentError(
      `saveGguf: ${reusing} of ${layers} layers reuse keys: in llama.cpp, all after the first ${OWN_KEYS} do. Save the model as safetensors`,
    );
  const shares = config.list('activation_sparsity_pattern') as readonly number[];
  if (shares.some((share, i) => share !== (i < SPARSE ? 0.95 : 0)))
    throw new ArgumentError(
      `saveGguf: activation_sparsity_pattern is ${describeValue(shares)}: in llama.cpp, it is 0.95 in the first ${SPARSE} layers and 0 in others. Save the model as safetensors`,
    );
  return {
    ...ggufWindows(config),
    'altup.active_idx': { uint32: 0 },
    'altup.num_inputs': { uint32: sizes.altup_num_inputs },
    embedding_length_per_layer_input: { uint32: sizes.hidden_size_per_layer_input },
    'attention.shared_kv_layers': { uint32: reusing },
    activation_sparsity_scale: { float32s: shares.map((share) => (share === 0 ? -Infinity : normalQuantile(share))) },
    final_logit_softcapping: { float32: 30 },
  };
}

/** Numbers of the first layers with keys of their own, and with sparse gates, in llama.cpp. */
const [OWN_KEYS, SPARSE] = [20, 10];

const LAYER = 'model.layers.*';

export const gemma3n: Family = {
  model: Gemma3n,
  className: 'Gemma3nText',
  generationClass: 'Gemma3nForCausalLM',
  defaults: {
    ...decoderDefaults,
    vocab_size: 262400,
    hidden_size: 2048,
    intermediate_size: 16384,
    num_hidden_layers: 35,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    max_position_embeddings: 32768,
    pad_token_id: 0,
    eos_token_id: 1,
    bos_token_id: 2,
    tie_word_embeddings: true,
    attention_bias: false,
    sliding_window: 512,
    layer_types: null,
    final_logit_softcapping: 30,
    vocab_size_per_layer_input: 262144,
    hidden_size_per_layer_input: 256,
    altup_active_idx: 0,
    altup_coef_clip: 120,
    altup_correct_scale: true,
    altup_num_inputs: 4,
    num_kv_shared_layers: 15,
    laurel_rank: 64,
    activation_sparsity_pattern: null,
  },
  complete: (config) => {
    const sparse = numberIn(config, 'num_hidden_layers') > 10 ? 10 : 0;
    config.activation_sparsity_pattern ??= eachLayer(config, (i) => (i < sparse ? 0.95 : 0));
    for (const name of ['intermediate_size', 'activation_sparsity_pattern']) ofLayers(config, name);
  },
  isSliding: (layer) => (layer + 1) % 5 !== 0,
  rope: { theta: 1000000, sliding: { theta: 10000, thetaName: 'rope_local_base_freq', isScaled: false } },
  gguf: {
    names: {
      ...gemma4GgufNames,
      'altup_proj.weight': 'model.altup_projections.#.weight',
      'altup_unembd_proj.weight': 'model.altup_unembed_projections.#.weight',
      'blk.*.altup_correct_scale.weight': `${LAYER}.altup.correct_output_scale`,
      'blk.*.altup_correct_coef': `${LAYER}.altup.correction_coefs`,
      'blk.*.altup_predict_coef': `${LAYER}.altup.prediction_coefs`,
      'blk.*.altup_router': `${LAYER}.altup.modality_router`,
      'blk.*.altup_router_norm': `${LAYER}.altup.router_norm`,
      'blk.*.laurel_l': `${LAYER}.laurel.linear_left`,
      'blk.*.laurel_r': `${LAYER}.laurel.linear_right`,
      'blk.*.laurel_post_norm': `${LAYER}.laurel.post_laurel_norm`,
    },
    saved: ggufSaved,
    extended: ['per_layer_token_embd.weight'],
    config: settingsOf,
  },
};
