import type { Transformer } from '../models/families/transformer.js';

/**
 * Mean loss per token of targets, `batchSize` of them per forward pass. `sources` is null for decoder-only models.
 * Tokens equal to `ignoreIndex` do not count. The mean is NaN if none counts.
 */
export async function meanLoss(
  model: Transformer,
  sources: readonly (readonly number[])[] | null,
  targets: readonly (readonly number[])[],
  { batchSize, ignoreIndex }: { batchSize: number; ignoreIndex?: number | null | undefined },
): Promise<number> {
  let sum = 0;
  let count = 0;
  for (let start = 0; start < targets.length; start += batchSize) {
    const source = sources?.slice(start, start + batchSize) ?? null;
    const target = targets.slice(start, start + batchSize);
    const labels = model.countLabels(source, target, { ignoreIndex });
    if (labels === 0) continue; // its mean would be NaN
    const loss = model.device.noGrad(() => model.loss(source, target, { ignoreIndex }));
    sum += labels * (await loss.item());
    count += labels;
    loss.dispose();
  }
  return sum / count;
}
