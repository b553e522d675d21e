import type { Transformer } from '../models/families/transformer.js';

/**
 * Mean loss per token of targets, `together` of them per forward pass. `sources` is null for decoder-only models.
 * Tokens equal to `ignoreIndex` do not count. The mean is NaN if none counts.
 */
export async function meanLoss(
  model: Transformer,
  sources: readonly (readonly number[])[] | null,
  targets: readonly (readonly number[])[],
  { together, ignoreIndex }: { together: number; ignoreIndex?: number | null | undefined },
): Promise<number> {
  let sum = 0;
  let count = 0;
  for (let at = 0; at < targets.length; at += together) {
    const source = sources?.slice(at, at + together) ?? null;
    const target = targets.slice(at, at + together);
    const labels = model.countLabels(source, target, { ignoreIndex });
    if (labels === 0) continue; // its mean would be NaN
    const loss = model.device.noGrad(() => model.loss(source, target, { ignoreIndex }));
    sum += labels * (await loss.item());
    count += labels;
    loss.dispose();
  }
  return sum / count;
}
