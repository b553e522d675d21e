import { FormatError } from '../../../core/errors.js';
import type { Tensor } from '../../../core/tensor.js';
import { pool } from '../../../nn/pooling.js';
import { max } from '../../../ops/axis.js';
import { add, div, maximum, mul } from '../../../ops/binary.js';
import { concat, gather, unpack } from '../../../ops/move.js';
import { sum } from '../../../ops/reduce.js';
import { sqrt } from '../../../ops/unary.js';
import type { Json } from '../../model-config.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';

/** Methods of pooling token vectors to one, by the names of sentence-transformers. */
export type SentencePooling = 'cls' | 'max' | 'mean' | 'mean_sqrt_len_tokens' | 'weightedmean' | 'lasttoken';

/** Flags of older files, in the order in which the results are concatenated. */
const FLAGS: Readonly<Record<string, SentencePooling>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len_tokens',
  pooling_mode_weightedmean_tokens: 'weightedmean',
  pooling_mode_lasttoken: 'lasttoken',
};

/** Makes one vector of a text by one pooling, or by several whose results are concatenated. */
export class Pooling extends SentenceModule {
  override readonly pools = true;

  constructor(
    readonly modes: readonly SentencePooling[],
    /** False to leave out the tokens of the prompt. */
    readonly includesPrompt = true,
  ) {
    super();
  }

  static async read({ path, config }: ModuleFolder): Promise<Pooling> {
    const settings = await config();
    return new Pooling(modesOf(settings, path), settings.include_prompt !== false);
  }

  override forward(features: TextFeatures): TextFeatures {
    const x = tokensOf(features);
    const prompt = this.includesPrompt ? 0 : (features.encoded?.promptTokens ?? 0);
    const pooled = this.modes.map((mode) => poolAs(mode, x, features, prompt));
    return { ...features, sentence: pooled.length === 1 ? (pooled[0] as Tensor) : concat(pooled, -1) };
  }
}

function modesOf(config: Json, path: string): readonly SentencePooling[] {
  const known = Object.values(FLAGS);
  const { pooling_mode: mode } = config;
  if (mode === undefined) {
    const chosen = Object.keys(FLAGS).filter((flag) => config[flag] === true);
    return chosen.length > 0 ? chosen.map((flag) => FLAGS[flag] as SentencePooling) : ['mean'];
  }
  const named = [mode].flat() as SentencePooling[];
  if (named.length > 0 && named.every((name) => known.includes(name))) return named;
  throw new FormatError(`${path}/config.json: pooling_mode is ${JSON.stringify(mode)}, expected ${known.join(', ')}`);
}

/** `prompt`: the number of first tokens of each text that are left out. */
function poolAs(mode: SentencePooling, x: Tensor, features: TextFeatures, prompt: number): Tensor {
  const { device } = x;
  const { batch, tokenWeights } = features;
  const { lengths, longest, size } = batch;
  const counts = countsOf(features);
  const kept = counts.map((count) => Math.max(0, count - prompt));
  switch (mode) {
    case 'cls': {
      const rows = batch.starts.map((start, i) => (kept[i] === 0 ? start : start + prompt));
      return gather(x, device.tensor(rows));
    }
    case 'lasttoken': {
      const last = pool(x, batch, 'last');
      // A text of nothing but its prompt is 0.
      return kept.includes(0) ? mul(last, device.tensor(kept.map((count) => [Math.min(count, 1)]))) : last;
    }
    case 'mean':
      if (prompt === 0 && !tokenWeights && !counts.includes(0)) return pool(x, batch, 'mean');
      return weighted(x, features, prompt, { weight: () => 1, total: (count) => count });
    case 'mean_sqrt_len_tokens':
      return weighted(x, features, prompt, { weight: () => 1, total: (count) => count, isRoot: true });
    case 'weightedmean':
      // The position of a token, from 1 on and with the prompt, is its weight.
      return weighted(x, features, prompt, {
        weight: (position) => position,
        total: (count) => (count * (count + 1 + 2 * prompt)) / 2,
      });
    case 'max': {
      const hidden = counts.flatMap((count) =>
        Array.from({ length: longest }, (_, i) => (i >= prompt && i < count ? 0 : Number.NEGATIVE_INFINITY)),
      );
      return max(add(unpack(x, lengths, longest), device.tensor(Float32Array.from(hidden), [size, longest, 1])), {
        axis: 1,
      });
    }
  }
}

/** The tokens of each text. A batch has a row for a text without tokens, too, which does not count. */
const countsOf = ({ encoded, batch }: TextFeatures) => encoded?.inputIds.map(({ length }) => length) ?? batch.counts;

interface Weighting {
  /** The weight of a token by its position, from 1 on. */
  weight(position: number): number;
  /** The divisor of the sum, by the number of tokens that count. Weights of words, if there are any, replace it. */
  total(count: number): number;
  /** True to divide by the root of the divisor. */
  readonly isRoot?: boolean;
}

/** The weighted sum of tokens, divided. */
function weighted(
  x: Tensor,
  features: TextFeatures,
  prompt: number,
  { weight, total, isRoot = false }: Weighting,
): Tensor {
  const { batch, tokenWeights } = features;
  const counts = countsOf(features);
  const divisorOf = (count: number) => (tokenWeights ? 1 : isRoot ? Math.sqrt(total(count)) : total(count));
  const weights = batch.counts.flatMap((rows, text) => {
    const count = counts[text] as number;
    return Array.from({ length: rows }, (_, i) =>
      i < prompt || i >= count ? 0 : weight(i + 1) / divisorOf(count - prompt),
    );
  });
  const rows = mul(x, x.device.tensor(Float32Array.from(weights), [batch.total, 1]));
  const sums = sum(unpack(rows, batch.lengths, batch.longest), { axis: 1 });
  if (!tokenWeights) return sums;
  const divisor = maximum(tokenWeights, 1e-9);
  return div(sums, isRoot ? sqrt(divisor) : divisor);
}
