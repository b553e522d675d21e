import { FormatError } from '../../../core/errors.js';
import { SentenceModule, type TextFeatures, unit } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';
import { wardClusters } from '../ward.js';

interface TokenPooling {
  /** Number of tokens for each that is kept. */
  readonly factor: number;
  /** Number of first tokens that stay as they are. */
  readonly kept: number;
  readonly normalizes: boolean;
  /** The tasks of texts that are pooled. Texts without a task count as documents. */
  readonly tasks: readonly string[];
}

/** Replaces similar tokens of a text by their mean, for smaller indexes of late interaction. It is the last module. */
export class HierarchicalTokenPooling extends SentenceModule {
  constructor(private readonly options: TokenPooling) {
    super();
  }

  static async read({ path, config }: ModuleFolder): Promise<HierarchicalTokenPooling> {
    const {
      pool_factor: factor = 1,
      num_protected_tokens: kept = 1,
      normalize_embeddings: normalizes = false,
      tasks,
    } = await config();
    if (!(Number(factor) >= 1) || !(Number.isInteger(kept) && (kept as number) >= 0))
      throw new FormatError(
        `${path}/config.json: pool_factor is ${factor} and num_protected_tokens is ${kept}, expected at least 1 and 0`,
      );
    return new HierarchicalTokenPooling({
      factor: Number(factor),
      kept: kept as number,
      normalizes: normalizes === true,
      tasks: tasks == null ? ['document'] : ([tasks].flat() as string[]),
    });
  }

  override forward(features: TextFeatures): TextFeatures {
    if (!this.options.tasks.includes(features.task ?? 'document')) return features;
    return { ...features, pooledTokens: (rows) => this.#pooled(rows) };
  }

  #pooled(rows: readonly Float32Array[]): Float32Array[] {
    const { factor, kept, normalizes } = this.options;
    const loose = rows.slice(kept);
    const count = Math.max(1, Math.floor(loose.length / factor));
    const all = count < loose.length ? [...rows.slice(0, kept), ...means(loose, count)] : [...rows];
    return normalizes ? all.map(unit) : all;
  }
}

/** The means of at most `count` groups of similar vectors. */
function means(rows: readonly Float32Array[], count: number): Float32Array[] {
  const n = rows.length;
  const distances = new Float64Array(n * n);
  for (const [i, a] of rows.entries())
    for (const [j, b] of rows.entries()) {
      const product = a.reduce((sum, value, k) => sum + value * (b[k] as number), 0);
      distances[i * n + j] = i === j ? 0 : Math.fround(Math.min(2, Math.max(0, 1 - product)));
    }
  const groups: Float32Array[][] = [];
  for (const [i, cluster] of wardClusters(distances, n, count).entries()) {
    groups[cluster] ??= [];
    (groups[cluster] as Float32Array[]).push(rows[i] as Float32Array);
  }
  return groups.map((group) =>
    (group[0] as Float32Array).map((_, k) => group.reduce((sum, row) => sum + (row[k] as number), 0) / group.length),
  );
}
