import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { BucketBias } from '../../nn/position-bias.js';
import type { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { sigmoid } from '../../ops/activation.js';
import { add, mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { gather, permute, slice, transpose, unpack } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Wav2Vec2, wav2vec2, wav2vec2Defaults } from './wav2vec2.js';

/** Rows of a gate's projection that are added. */
const GATE = 4;

/** Attention with biases of distances that gates scale, where the gates depend on the query's features. */
class GatedAttention extends MultiHeadAttention {
  readonly gate: Linear;
  /** float32 [heads] */
  readonly gateScale: Tensor;
  /** Biases that all layers share. */
  readonly distances: BucketBias;

  constructor(init: Initializer, options: MultiHeadOptions, distances: BucketBias) {
    super(init, options);
    this.gate = new Linear(init, this.headSize, 2 * GATE);
    this.gateScale = init.constant([this.heads], 1);
    this.distances = distances;
  }

  override scoreBias(_q: Tensor, _kv: Tensor, { lengths, longest: time, size }: Sequences, x: Tensor): Tensor {
    const { heads, headSize } = this;
    const padded = unpack(contiguous(x), lengths, time).reshape(size * time * heads, headSize);
    const sums = sum(this.gate.forward(padded).reshape(-1, 2, GATE), { axis: -1 }); // [B · T · heads, 2]
    const gates = sigmoid(sums).reshape(size, time, heads, 2);
    const [a, b] = [0, 1].map((i) => contiguous(slice(gates, 3, i, i + 1)).reshape(size, time, heads)) as [
      Tensor,
      Tensor,
    ];
    const factors = add(mul(a, add(mul(b, this.gateScale), -1)), 2); // [B, T, heads]
    const byHead = contiguous(permute(factors, [0, 2, 1])).reshape(size, heads, time, 1);
    return mul(byHead, this.#biases(time)); // [B, heads, T, T]
  }

  /** [heads, T, T] */
  #biases(time: number): Tensor {
    const rows = transpose(this.distances.table()); // [2·M + 1, heads]
    const max = ((rows.shape[0] as number) - 1) / 2;
    const row = (distance: number) => Math.max(-max, Math.min(max, distance)) + max;
    const indices = Int32Array.from({ length: time * time }, (_, i) => row((i % time) - Math.floor(i / time)));
    const biases = gather(contiguous(rows), rows.device.tensor(indices)); // [T · T, heads]
    return permute(biases.reshape(time, time, this.heads), [2, 0, 1]);
  }
}

/** WavLM (Chen et al. 2021, arXiv 2110.13900): wav2vec 2.0 with gated biases of distances. */
export class WavLm extends Wav2Vec2 {
  protected override attentionMaker({ init, config }: FamilyContext) {
    const [heads, buckets, distance] = ['num_attention_heads', 'num_buckets', 'max_bucket_distance'].map((name) =>
      config.size(name),
    ) as [number, number, number];
    // Otherwise distances beyond the last one of the table would not share a bucket.
    if (distance <= buckets / 4)
      throw new FormatError(
        `config.json: max_bucket_distance is ${distance}, expected more than a quarter of num_buckets, ${buckets}`,
      );
    const distances = new BucketBias(init, { heads, buckets, maxDistance: distance, bidirectional: true });
    return (options: MultiHeadOptions) => new GatedAttention(init, options, distances);
  }

  protected override get stateNames(): StateNames {
    const [path, layers] = ['encoder.layers', 'wavlm.encoder.layers'];
    return {
      ...super.stateNames,
      [`${path}.*.self_attn.gate`]: `${layers}.*.attention.gru_rel_pos_linear`,
      [`${path}.*.self_attn.gate_scale`]: {
        name: `${layers}.*.attention.gru_rel_pos_const`,
        leading: [1],
        trailing: 2,
      },
      [`${path}.0.self_attn.distances`]: `${layers}.0.attention.rel_attn_embed`,
      [`${path}.*.self_attn.distances`]: [null],
    };
  }
}

export const wavLm: Family = {
  ...wav2vec2,
  model: WavLm,
  className: 'WavLM',
  defaults: { ...wav2vec2Defaults, ctc_loss_reduction: 'mean', num_buckets: 320, max_bucket_distance: 800 },
};
