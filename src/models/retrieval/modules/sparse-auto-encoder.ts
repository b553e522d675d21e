import { FormatError } from '../../../core/errors.js';
import type { Tensor } from '../../../core/tensor.js';
import { Linear } from '../../../nn/linear.js';
import { relu } from '../../../ops/activation.js';
import { topk } from '../../../ops/axis.js';
import { add, div, greaterEqual, sub, where } from '../../../ops/binary.js';
import { mean } from '../../../ops/reduce.js';
import { std } from '../../../ops/statistics.js';
import { SentenceModule, sentenceOf, type TextFeatures } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

/** A dense vector as a few of many features: the k largest (Wen et al. 2025, arXiv 2503.01776). */
export class SparseAutoEncoder extends SentenceModule {
  /** Subtracted from the input, [d]. */
  readonly preBias: Tensor;
  /** d → features, without a bias. */
  readonly encoder: Linear;
  /** Added to the features. */
  readonly latentBias: Tensor;

  constructor(
    { init, path }: Pick<ModuleFolder, 'init' | 'path'>,
    inputs: number,
    features: number,
    private readonly k: number,
    private readonly normalizes: boolean,
  ) {
    super();
    this.folder = path;
    this.preBias = init.constant([inputs], 0);
    this.encoder = new Linear(init, inputs, features, false);
    this.latentBias = init.constant([features], 0);
  }

  override readonly folder: string;

  static async read(folder: ModuleFolder): Promise<SparseAutoEncoder> {
    const { path, config, tensors } = folder;
    const { k = 8, normalize = false } = await config();
    const stored = await tensors();
    // Files have the shared matrix under either of its names.
    const weight = stored.get('encoder.weight') ?? stored.get('decoder.linear.weight');
    const entries = new Map([...stored].filter(([name]) => ['pre_bias', 'latent_bias'].includes(name)));
    if (weight) entries.set('encoder.weight', weight);
    const [features, inputs] = matrixSize(path, entries, 'encoder.weight', 2) as [number, number];
    if (!Number.isInteger(k) || (k as number) < 1 || (k as number) > features)
      throw new FormatError(
        `${path}/config.json: k is ${JSON.stringify(k)}, expected an integer from 1 to ${features}`,
      );
    const module = new SparseAutoEncoder(folder, inputs, features, k as number, normalize === true);
    await module.readState(entries);
    return module;
  }

  override forward(features: TextFeatures): TextFeatures {
    const x = sentenceOf(features);
    const latents = add(
      this.encoder.forward(sub(this.normalizes ? standardized(x) : x, this.preBias)),
      this.latentBias,
    );
    const k = Math.min(features.maxActiveDims ?? this.k, latents.shape[1] as number);
    const min = topk(latents, k).values.columns(k - 1, k);
    return { ...features, sentence: relu(where(greaterEqual(latents, min), latents, 0)), isSparse: true };
  }
}

function standardized(x: Tensor): Tensor {
  const centred = sub(x, mean(x, { axis: -1, keepDims: true }));
  return div(centred, add(std(centred, { axis: -1, keepDims: true }), 1e-5));
}
