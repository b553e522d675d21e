import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { readSequences } from '../generate/generate.js';
import type { Generative } from '../generate/generative.js';
import { checkTokens } from '../generate/settings.js';
import { checkInputs, type Stacks } from '../nn/encoder-decoder.js';
import { inference } from '../nn/module.js';
import { packed, type Tokens } from '../nn/token-batch.js';
import { gather } from '../ops/move.js';
import { logSoftmax } from '../ops/softmax.js';
import { shiftedTargets } from './targets.js';

/** The part of a model that scoring needs. */
interface Scored extends Stacks, Pick<Generative, 'vocabSize' | 'padId'> {
  readonly device: Device;
  forward(source: Tokens | null, target: Tokens): Tensor;
}

/** A model's log-probabilities of given targets. */
export interface ScoreResult {
  /** For each target, the log-probability of every token but the first, which only begins it. */
  readonly logProbabilities: number[][];
  /** Sum of each target's log-probabilities. */
  readonly scores: number[];
}

/** Computes the log-probabilities of given targets; see `SequenceModel.score`. */
export async function score(model: Scored, source: Tokens | null, target: Tokens): Promise<ScoreResult> {
  if (model.decoder === null) throw new ArgumentError('score: the model has no decoder');
  checkInputs('score', model, source, target);
  const [sources, targets] = await Promise.all([
    source && readSequences('score: source', model, source),
    readSequences('score: target', model, target),
  ]);
  const { inputs, labels } = shiftedTargets('score', targets, null);
  for (const [i, tokens] of targets.entries()) checkTokens('score', `a token of target ${i}`, tokens, model);
  const { reading } = inference(model, () => {
    const logits = model.forward(sources && packed(sources), packed(inputs));
    const all = logSoftmax(logits).reshape(-1, 1);
    const indices = Int32Array.from(labels, (label, i) => i * model.vocabSize + label);
    return { reading: gather(all, model.device.tensor(indices)).data() };
  });
  const values = Array.from(await reading);
  const logProbabilities = targets.map(({ length }) => values.splice(0, length - 1));
  return { logProbabilities, scores: logProbabilities.map((row) => row.reduce((sum, value) => sum + value, 0)) };
}
