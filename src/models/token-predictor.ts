// Multi-token prediction (DeepSeek-AI 2024, arXiv 2412.19437, section 2.2): a layer of a checkpoint that predicts the
// token after the next one. It reads the features of the model's last layer, and the token that followed. The embedding
// and the projection to logits are those of the model. Its predictions are guesses for speculative decoding.

import { checkNumber, isCount } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { Drafter } from '../generate/drafter.js';
import type { FeatureDraft } from '../generate/generate-options.js';
import { PredictorDrafter } from '../generate/predictor-drafter.js';
import { DecoderState } from '../nn/decoder-state.js';
import type { Initializer } from '../nn/init.js';
import type { TransformerLayer } from '../nn/layer.js';
import { Linear } from '../nn/linear.js';
import { inference, Module } from '../nn/module.js';
import type { Norm } from '../nn/norm.js';
import { Stack } from '../nn/stack.js';
import type { StateNames } from '../nn/state-names.js';
import { concat, gather } from '../ops/move.js';
import { topKInto } from '../ops/top-k.js';

/** The parts of a model that its predictor shares. */
interface Base {
  readonly device: Device;
  /** The embeddings of tokens, float32 [N, dModel]. */
  embedTokens(ids: Tensor, positions: Tensor): Tensor;
  /** The logits of tokens with these features, float32 [N, vocabulary]. */
  logitsOf(features: Tensor): Tensor;
}

/** The parts of a predictor that its family makes. */
export interface PredictorParts {
  readonly dModel: number;
  readonly layer: () => TransformerLayer;
  readonly norm: () => Norm;
  /** Names of the layer and of the last norm; those of the other parts are the same in all families. */
  readonly names: StateNames;
}

/** The result of reading tokens. */
export interface Prediction {
  /** float32 [N, dModel]: features after each token, from which the predictor can go on. */
  readonly features: Tensor;
  /** int32 [1]: the most probable token after the last one. */
  readonly token: Tensor;
}

/**
 * Predicts further tokens for `generate` with `{ draft }`. `loadPredictor` makes it. Valid until it or its model is
 * disposed of.
 */
export class TokenPredictor extends Module implements FeatureDraft {
  readonly embeddingNorm: Norm;
  readonly featureNorm: Norm;
  /** From the embedding of a token and the features before it, side by side, to the input of the layer. */
  readonly projection: Linear;
  readonly decoder: Stack;
  readonly #model: Base;
  readonly #names: StateNames;

  constructor(init: Initializer, model: Base, { dModel, layer, norm, names }: PredictorParts) {
    super();
    this.#model = model;
    this.#names = names;
    this.embeddingNorm = norm();
    this.featureNorm = norm();
    this.projection = new Linear(init, 2 * dModel, dModel, false);
    this.decoder = new Stack(1, layer, norm);
  }

  get device(): Device {
    return this.#model.device;
  }

  /** True if it belongs to `model`. */
  predicts(model: object): boolean {
    return model === this.#model;
  }

  drafter(): Drafter {
    return new PredictorDrafter(this.device, this);
  }

  /** Makes a state for one text. The caller disposes of it. `maxLength`: maximum number of tokens. */
  startDecoding({ maxLength }: { maxLength: number }): DecoderState {
    checkNumber('startDecoding', 'maxLength', maxLength, isCount, 'a positive integer');
    const sizes = { sources: 1, beams: 1, capacity: maxLength, sourceCapacity: 0 };
    return new DecoderState(this.device, { model: this, caches: this.decoder.cacheSpecs(), ...sizes });
  }

  /**
   * Appends tokens to a state. `features`: float32 [N, dModel], features of tokens `start` to `start + N - 1`. `next`:
   * int32 [N], the token after each of them. `position`: position of the first of `next` in the text. The result
   * belongs to the current scope.
   */
  read(state: DecoderState, start: number, next: Tensor, features: Tensor, position: number): Prediction {
    const count = next.size;
    if (start + count > state.sizes.capacity)
      throw new ArgumentError(`read: the state has room for ${state.sizes.capacity} tokens, got ${start + count}`);
    return inference(this, () => {
      const { device } = this;
      const positions = device.tensor(Int32Array.from({ length: count }, (_, i) => position + i));
      const x = this.inputOf(next, features, positions);
      const parts = [{ sequence: 0, start, count }];
      const result = this.decoder.extend(x, { positions, parts, asSteps: false }, state);
      state.setLength(0, start + count);
      const last = count === 1 ? result : gather(result, device.tensor(Int32Array.of(count - 1)));
      return { features: result, token: this.#best(this.#model.logitsOf(last)) };
    });
  }

  /** The input of the layer, float32 [N, dModel]. */
  inputOf(next: Tensor, features: Tensor, positions: Tensor): Tensor {
    const embedded = this.embeddingNorm.forward(this.#model.embedTokens(next, positions));
    return this.projection.forward(concat([embedded, this.featureNorm.forward(features)], -1));
  }

  /** int32 [1]: the most probable token by `logits`, [1, vocabulary]. */
  #best(logits: Tensor): Tensor {
    const { device } = this;
    const best = {
      values: device.empty([1, 1, 1]),
      ids: device.empty([1, 1, 1], 'int32'),
      logSums: device.empty([1, 1, 2]),
    };
    topKInto(logits, best);
    return best.ids.reshape(1);
  }

  protected override get stateNames(): StateNames {
    return {
      ...this.#names,
      embedding_norm: 'mtp.pre_fc_norm_embedding',
      feature_norm: 'mtp.pre_fc_norm_hidden',
      projection: 'mtp.fc',
    };
  }
}
