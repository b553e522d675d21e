// Mixtures of experts by the settings of config.json, and the loss of their routers.

import type { Tensor } from '../core/tensor.js';
import { withBalanceLossInParts } from '../nn/balance-loss.js';
import type { Initializer } from '../nn/init.js';
import { MixtureOfExperts } from '../nn/mixture-of-experts.js';
import type { Module } from '../nn/module.js';
import { scale } from '../ops/binary.js';
import { activationOf, expertSizes } from './config-values.js';
import type { ModelConfig } from './model-config.js';

/**
 * Runs a pass of the layers. Returns its result, and a loss of what happened in it. `ofTokens` removes the rows of
 * padding.
 */
export type FurtherLoss = (
  pass: Generator<unknown, Tensor>,
  ofTokens: (x: Tensor) => Tensor,
) => Generator<unknown, { result: Tensor; loss: Tensor | null }>;

/**
 * The loss of a mixture's routers for `CausalModel.furtherLoss`, if the config's `output_router_logits` asks for it:
 * `router_aux_loss_coef` times that of `withBalanceLossInParts`.
 */
export function routerLoss(model: Module, config: ModelConfig): FurtherLoss | null {
  if (!config.flag('output_router_logits')) return null;
  return function* (pass, ofTokens) {
    const { result, loss } = yield* withBalanceLossInParts(model, pass, ofTokens);
    return { result, loss: loss && scale(loss, config.number('router_aux_loss_coef')) };
  };
}

/** The mixture of most decoders. `experts` and `dFF` are the names of settings. */
export function mixture(
  init: Initializer,
  config: ModelConfig,
  { experts, dFF, normalized }: { readonly experts: string; readonly dFF: string; readonly normalized: boolean },
): MixtureOfExperts {
  const activation = activationOf(config.text('hidden_act'));
  return new MixtureOfExperts(init, { ...expertSizes(config, experts, dFF), activation, normalized });
}
