// The loss that balances the experts of a mixture (Fedus et al. 2021, arXiv 2101.03961, equations 4 to 6).

import { ArgumentError } from '../core/errors.js';
import { atOnce, eachWithin } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { topk } from '../ops/axis.js';
import { add, mul, scale } from '../ops/binary.js';
import { embedding } from '../ops/embedding.js';
import { sum } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';
import { TransformerLayer } from './layer.js';
import { MixtureOfExperts, type Routing } from './mixture-of-experts.js';
import type { Module } from './module.js';

/**
 * Runs `pass`, and returns its result with the balance loss of all mixtures of experts in `model`, a float32 scalar.
 * The loss is null if `model` has no mixtures. It is experts · Σ (tokens of an expert / all tokens) · (mean probability
 * of that expert), summed over experts, with the tokens of all layers together. If tokens are evenly spread, it is the
 * number of chosen experts. The experts of a token are those with its highest scores, without a bias of the choice.
 * Throws ArgumentError with gradient checkpointing, which drops the scores.
 */
export function withBalanceLoss<T>(model: Module, pass: () => T): { result: T; loss: Tensor | null } {
  // biome-ignore lint/correctness/useYield: the pass has no pauses.
  const parts = function* () {
    return pass();
  };
  return atOnce(withBalanceLossInParts(model, parts()));
}

/**
 * Same as `withBalanceLoss`, for a pass with pauses, in which another pass may run. `ofTokens` selects the rows that
 * count. Default: all.
 */
export function* withBalanceLossInParts<T>(
  model: Module,
  pass: Generator<unknown, T>,
  ofTokens = (x: Tensor) => x,
): Generator<unknown, { result: T; loss: Tensor | null }> {
  const modules = model.modules();
  if (model.training && modules.some((module) => module instanceof TransformerLayer && module.recomputes))
    throw new ArgumentError('loss: output_router_logits needs the routers’ scores, which gradientCheckpointing drops');
  const mixtures = modules.filter((module) => module instanceof MixtureOfExperts);
  const routings: Routing[] = [];
  const observed = <Part>(part: () => Part): Part => {
    for (const mixture of mixtures) mixture.observe((routing) => routings.push(routing));
    try {
      return part();
    } finally {
      for (const mixture of mixtures) mixture.observe(null);
    }
  };
  const result = yield* eachWithin(observed, pass);
  const counted = routings.map((routing) => ({ ...routing, logits: ofTokens(routing.logits) }));
  return { result, loss: counted.length > 0 ? balanceLoss(counted) : null };
}

/** Returns the balance loss of some routings, float32 []. All must have the same number of experts. */
export function balanceLoss(routings: readonly Routing[]): Tensor {
  const [{ logits }] = routings as [Routing];
  const { device } = logits;
  const experts = logits.shape[1] as number;
  const rows = routings.reduce((total, { logits: { shape } }) => total + (shape[0] as number), 0);
  const ones = device.tensor(
    Float32Array.from({ length: experts * experts }, (_, i) => Number(i % (experts + 1) === 0)),
    [experts, experts],
  );
  const total = (select: (routing: Routing) => Tensor) =>
    routings.map((routing) => sum(select(routing), { axis: 0 })).reduce((a, b) => add(a, b));
  // Experts with the highest scores count, even if a bias changed the choice, as in transformers.
  const first = ({ logits, ids }: Routing) => topk(logits, ids.shape[1] as number).indices;
  const counts = total((routing) => embedding(ones, first(routing).reshape(-1))); // [experts]
  const probabilities = total((routing) => softmax(routing.logits)); // [experts]
  return scale(sum(mul(counts, probabilities)), experts / rows ** 2);
}
