// Layers between an encoder of sound and its head, each of which shortens the sequence of frames (`add_adapter`).

import type { Tensor } from '../core/tensor.js';
import { MultiHeadAttention } from '../nn/attention.js';
import { Conv1d } from '../nn/conv.js';
import { FeedForward } from '../nn/feed-forward.js';
import type { Initializer } from '../nn/init.js';
import { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { LayerNorm } from '../nn/norm.js';
import { Sequences } from '../nn/sequences.js';
import type { StateNames } from '../nn/state-names.js';
import { sigmoid } from '../ops/activation.js';
import { add, mul } from '../ops/binary.js';
import { slice } from '../ops/move.js';
import { activationOf } from './config-values.js';
import type { ModelConfig } from './model-config.js';
import type { Frames } from './sound-model.js';

/** A convolution with a stride, whose second half of channels gates the first: [B, T, width] → [B, T', width]. */
class GatedConv extends Conv1d {
  constructor(
    init: Initializer,
    private readonly width: number,
    private readonly kernel: number,
    private readonly steps: { readonly stride: number; readonly padding: number },
  ) {
    super(init, { inputs: width, outputs: 2 * width, kernel, ...steps, channelsLast: true });
  }

  /** Returns the number of results for `count` frames, if `padding` frames are added on each side. */
  framesOf(count: number, padding = this.steps.padding): number {
    return Math.floor((count + 2 * padding - this.kernel) / this.steps.stride) + 1;
  }

  override forward(x: Tensor): Tensor {
    const y = super.forward(x);
    return mul(slice(y, 2, 0, this.width), sigmoid(slice(y, 2, this.width, 2 * this.width)));
  }
}

interface AdapterLayer extends Module {
  /** Returns the number of frames after the layer. */
  framesOf(count: number): number;
  /** Returns the number of frames after the layer of a sequence that padding follows. */
  ownFramesOf(count: number): number;
  /** `x`: float32 [B, T, width]. `after`: the frames of the result. Returns [B, T', width]. */
  forward(x: Tensor, after: Sequences): Tensor;
}

/** wav2vec 2.0: the convolution alone. */
class ConvAdapterLayer extends Module implements AdapterLayer {
  readonly conv: GatedConv;
  readonly #stride: number;

  constructor(init: Initializer, config: ModelConfig, width: number) {
    super();
    const stride = config.size('adapter_stride');
    this.#stride = stride;
    this.conv = new GatedConv(init, width, config.size('adapter_kernel_size'), { stride, padding: 1 });
  }

  framesOf(count: number): number {
    return this.conv.framesOf(count);
  }

  ownFramesOf(count: number): number {
    return Math.floor((count - 1) / this.#stride) + 1; // for any kernel size, as in transformers
  }

  forward(x: Tensor): Tensor {
    return this.conv.forward(x);
  }
}

/** wav2vec2-BERT: attention and a feed-forward network, with convolutions before attention and in its shortcut. */
class AttentionAdapterLayer extends Module implements AdapterLayer {
  readonly residualNorm: LayerNorm;
  readonly residualConv: GatedConv;
  readonly attentionNorm: LayerNorm;
  readonly attentionConv: GatedConv;
  readonly selfAttn: MultiHeadAttention;
  readonly feedForwardNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly #kernel: number;

  constructor(init: Initializer, config: ModelConfig, width: number) {
    super();
    const norm = () => new LayerNorm(init, width, config.number('layer_norm_eps'));
    const stride = config.size('adapter_stride');
    this.#kernel = config.size('adapter_kernel_size');
    const conv = () => new GatedConv(init, width, this.#kernel, { stride, padding: Math.floor(stride / 2) });
    this.residualNorm = norm();
    this.residualConv = conv();
    this.attentionNorm = norm();
    this.attentionConv = conv();
    this.selfAttn = new MultiHeadAttention(init, { dModel: width, heads: config.size('num_attention_heads') });
    this.feedForwardNorm = norm();
    const activation = activationOf(config.text('adapter_act'));
    this.feedForward = new FeedForward(init, { dModel: width, dFF: config.size('intermediate_size'), activation });
  }

  framesOf(count: number): number {
    return this.attentionConv.framesOf(count);
  }

  ownFramesOf(count: number): number {
    return this.attentionConv.framesOf(count, Math.floor(this.#kernel / 2));
  }

  forward(x: Tensor, after: Sequences): Tensor {
    const shortcut = this.residualConv.forward(this.residualNorm.forward(x));
    const read = this.attentionConv.forward(this.attentionNorm.forward(x));
    const rows = (map: Tensor) => map.reshape(after.total, -1);
    const y = add(this.selfAttn.forward(rows(read), after), rows(shortcut));
    return add(y, this.feedForward.forward(this.feedForwardNorm.forward(y))).reshape(shortcut.shape);
  }
}

/** A projection to the adapter's width, if that is another one, and the layers. Training never drops a layer. */
export class FrameAdapter extends Module {
  /** Features of a frame after the adapter. */
  readonly width: number;
  readonly proj: Linear | null;
  readonly projLayerNorm: LayerNorm | null;
  readonly layers: readonly AdapterLayer[];

  /** `attends`: true for the layers of wav2vec2-BERT. */
  constructor(init: Initializer, config: ModelConfig, attends: boolean) {
    super();
    const dModel = config.size('hidden_size');
    const width = config.sizeOrNull('output_hidden_size') ?? dModel;
    const eps = attends ? config.number('layer_norm_eps') : undefined;
    this.width = width;
    this.proj = width === dModel ? null : new Linear(init, dModel, width);
    this.projLayerNorm = width === dModel ? null : new LayerNorm(init, width, eps);
    const Layer = attends ? AttentionAdapterLayer : ConvAdapterLayer;
    this.layers = Array.from({ length: config.size('num_adapter_layers') }, () => new Layer(init, config, width));
  }

  /** The adapter that a config asks for, or null. */
  static of(init: Initializer, config: ModelConfig, attends = false): FrameAdapter | null {
    return config.flag('add_adapter') ? new FrameAdapter(init, config, attends) : null;
  }

  /** Returns the number of frames for `count` frames of the encoder. */
  framesOf(count: number): number {
    return this.layers.reduce((frames, layer) => layer.framesOf(frames), count);
  }

  /** `x`: float32 [B · frames, dModel]. */
  forward({ x, batch }: Frames): Frames {
    let y = (this.proj && this.projLayerNorm?.forward(this.proj.forward(x))) ?? x;
    let [ownFrames, frames] = [batch.isToken?.map((row) => row.filter(Boolean).length), batch.longest];
    let after = batch;
    y = y.reshape(batch.size, frames, this.width);
    for (const layer of this.layers) {
      frames = layer.framesOf(frames);
      ownFrames = ownFrames?.map((count) => Math.min(frames, layer.ownFramesOf(count)));
      after = framesWithPadding(batch, frames, ownFrames);
      y = layer.forward(y, after);
    }
    return { x: y.reshape(after.total, this.width), batch: after };
  }
}

/** Sequences of `frames` rows, one for each of `batch`. The first `tokenFrames` rows of each are not padding. */
export function framesWithPadding(
  { size, positions }: Sequences,
  frames: number,
  tokenFrames?: readonly number[],
): Sequences {
  const all = Sequences.of(positions.device, Array<number>(size).fill(frames));
  if (tokenFrames === undefined || tokenFrames.every((count) => count === frames)) return all;
  const isToken = tokenFrames.map((count) => Array.from({ length: frames }, (_, i) => i < count));
  return new Sequences(all.positions, all.lengths, all.counts, isToken);
}

/** Names of an adapter in checkpoints. `prefix`: name of the module that holds it. */
export function adapterNames(prefix: string): StateNames {
  const [path, stored] = ['adapter.layers.*', `${prefix}.adapter.layers.*`];
  return {
    'adapter.proj': `${prefix}.adapter.proj`,
    'adapter.proj_layer_norm': `${prefix}.adapter.proj_layer_norm`,
    [`${path}.conv`]: `${stored}.conv`,
    [`${path}.residual_norm`]: `${stored}.residual_layer_norm`,
    [`${path}.residual_conv`]: `${stored}.residual_conv`,
    [`${path}.attention_norm`]: `${stored}.self_attn_layer_norm`,
    [`${path}.attention_conv`]: `${stored}.self_attn_conv`,
    [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${stored}.self_attn.linear_${name}`),
    [`${path}.self_attn.out_proj`]: `${stored}.self_attn.linear_out`,
    [`${path}.feed_forward_norm`]: `${stored}.ffn_layer_norm`,
    [`${path}.feed_forward.linear1`]: `${stored}.ffn.intermediate_dense`,
    [`${path}.feed_forward.linear2`]: `${stored}.ffn.output_dense`,
  };
}
