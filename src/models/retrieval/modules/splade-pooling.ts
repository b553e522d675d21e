import { FormatError } from '../../../core/errors.js';
import type { Tensor } from '../../../core/tensor.js';
import { relu } from '../../../ops/activation.js';
import { max } from '../../../ops/axis.js';
import { add } from '../../../ops/binary.js';
import { concat } from '../../../ops/move.js';
import { sum } from '../../../ops/reduce.js';
import { log } from '../../../ops/unary.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';

const STRATEGIES = ['max', 'sum'] as const;
const ACTIVATIONS = ['relu', 'log1p_relu'] as const;

/**
 * One weight for each word of the vocabulary, from the logits of a masked language model (Formal et al. 2021, arXiv
 * 2107.05720).
 */
export class SpladePooling extends SentenceModule {
  override readonly pools = true;

  constructor(
    readonly strategy: (typeof STRATEGIES)[number] = 'max',
    readonly activation: (typeof ACTIVATIONS)[number] = 'relu',
  ) {
    super();
  }

  static async read({ path, config }: ModuleFolder): Promise<SpladePooling> {
    const { pooling_strategy: strategy = 'max', activation_function: activation = 'relu' } = await config();
    return new SpladePooling(
      oneOf(path, 'pooling_strategy', strategy, STRATEGIES),
      oneOf(path, 'activation_function', activation, ACTIVATIONS),
    );
  }

  override forward(features: TextFeatures): TextFeatures {
    const logits = tokensOf(features);
    const { starts, ends } = features.batch;
    // One text after the other: all at once would need a second copy of the logits.
    const weights = Array.from(starts, (start, i) => this.#weights(logits.rows(start, (ends[i] as number) + 1)));
    return { ...features, tokens: null, sentence: concat(weights), isSparse: true };
  }

  /** float32 [1, vocabulary], of the logits of one text. */
  #weights(logits: Tensor): Tensor {
    // The activation rises, so that of the maximum is the maximum of all.
    if (this.strategy === 'max') return this.#activated(max(logits, { axis: 0, keepDims: true }));
    return sum(this.#activated(logits), { axis: 0, keepDims: true });
  }

  #activated(x: Tensor): Tensor {
    const y = log(add(relu(x), 1));
    return this.activation === 'relu' ? y : log(add(y, 1));
  }
}

function oneOf<Name extends string>(path: string, key: string, value: unknown, known: readonly Name[]): Name {
  if (known.includes(value as Name)) return value as Name;
  throw new FormatError(`${path}/config.json: ${key} is ${JSON.stringify(value)}, expected ${known.join(' or ')}`);
}
