// Losses and their gradients, compared with what PyTorch computes by the formulas of sentence-transformers and trl
// (make_losses.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as losses from '../../src/finetune/losses.js';
import type { Tensor } from '../../src/index.js';
import { deviceFor, isas } from '../describe-op.js';

type Nested = readonly number[] | readonly (readonly number[])[];
interface Case {
  readonly name: string;
  readonly options: object;
  readonly inputs: readonly Nested[];
  readonly others: readonly (readonly number[])[];
  readonly loss: number;
  readonly gradients: readonly (Nested | null)[];
}

const cases: Case[] = JSON.parse(readFileSync(new URL('losses.json', import.meta.url), 'utf8'));
const device = await deviceFor(isas[0]!, 2);

function lossOf({ name, options, others }: Case, [a, b, c, d]: readonly Tensor[]): Tensor {
  const [first, second] = [a as Tensor, b as Tensor];
  switch (name) {
    case 'inBatchNegatives':
      return losses.inBatchNegatives(first, second, { ...options, negatives: c });
    case 'cosineLoss':
      return losses.cosineLoss(first, second, others[0]!);
    case 'rankedCosineLoss':
      return losses.rankedCosineLoss(first, second, others[0]!, options);
    case 'tripletLoss':
      return losses.tripletLoss(first, second, c as Tensor, options);
    case 'contrastiveLoss':
      return losses.contrastiveLoss(first, second, others[0]!, options);
    case 'distillationLoss':
      return losses.distillationLoss(first, second, options);
    default:
      return losses.dpoLoss({ chosen: first, rejected: second }, { chosen: c!, rejected: d! }, options);
  }
}

describe('losses of fine-tuning', () => {
  it.each(cases.map((each, i) => [`${each.name} ${JSON.stringify(each.options)}`, i] as const))('%s', async (_, i) => {
    const each = cases[i]!;
    const inputs = each.inputs.map((values) => {
      const tensor = device.tensor(values as number[][]);
      tensor.requiresGrad = true;
      return tensor;
    });
    const loss = lossOf(each, inputs);
    loss.backward();
    expect(Math.abs((await loss.item()) - each.loss)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(each.loss)));
    for (const [n, gradient] of each.gradients.entries()) {
      if (gradient === null) {
        expect(inputs[n]!.grad).toBeNull();
        continue;
      }
      const wanted = (gradient as number[][]).flat();
      const max = Math.max(...wanted.map(Math.abs));
      const given = await inputs[n]!.grad!.data();
      for (const [k, value] of wanted.entries())
        expect(Math.abs(given[k]! - value)).toBeLessThanOrEqual(2e-5 * max + 1e-9);
    }
  });
});
