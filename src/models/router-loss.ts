import type { Tensor } from '../core/tensor.js';
import { withBalanceLossInParts } from '../nn/balance-loss.js';
import type { Module } from '../nn/module.js';
import { scale } from '../ops/binary.js';
import type { ModelConfig } from './model-config.js';

/** Runs a pass of the layers. Returns its result, and a loss of what happened in it. */
export type FurtherLoss = (
  pass: Generator<unknown, Tensor>,
) => Generator<unknown, { result: Tensor; loss: Tensor | null }>;

/**
 * The loss of a mixture's routers for `CausalModel.furtherLoss`, if the config's `output_router_logits` asks for it:
 * `router_aux_loss_coef` times that of `withBalanceLossInParts`.
 */
export function routerLoss(model: Module, config: ModelConfig): FurtherLoss | null {
  if (!config.flag('output_router_logits')) return null;
  return function* (pass) {
    const { result, loss } = yield* withBalanceLossInParts(model, pass);
    return { result, loss: loss && scale(loss, config.number('router_aux_loss_coef')) };
  };
}
