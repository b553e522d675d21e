import { ArgumentError } from '../core/errors.js';
import { inference } from '../models/inference.js';
import { checkSides } from '../models/sides.js';
import { shiftedTargets } from '../models/targets.js';
import type { Transformer } from '../models/transformer.js';
import { packed, type Tokens } from '../nn/token-batch.js';
import { gather } from '../ops/move.js';
import { logSoftmax } from '../ops/softmax.js';
import { readSequences } from './generate.js';
import { checkTokens } from './options.js';

/** What a model thinks of given targets. */
export interface ScoreResult {
  /** For each target, of every token but the first, which only begins it. */
  readonly logProbabilities: number[][];
  /** Their sums. */
  readonly scores: number[];
}

/** See `Transformer.score`. */
export async function score(model: Transformer, source: Tokens | null, target: Tokens): Promise<ScoreResult> {
  if (model.transformer.decoder === null) throw new ArgumentError('score: the model has no decoder');
  checkSides('score', model.transformer, source, target);
  const [sources, targets] = await Promise.all([
    source && readSequences('score: source', model, source),
    readSequences('score: target', model, target),
  ]);
  const { targetVocab } = model.config;
  const { inputs, labels } = shiftedTargets('score', targets, null);
  for (const [i, tokens] of targets.entries()) checkTokens('score', `a token of target ${i}`, tokens, model);
  const { reading } = inference(model, () => {
    const logits = model.forward(sources && packed(sources), packed(inputs));
    const all = logSoftmax(logits).reshape(-1, 1);
    const places = Int32Array.from(labels, (label, i) => i * targetVocab + label);
    return { reading: gather(all, model.device.tensor(places)).data() };
  });
  const values = Array.from(await reading);
  const logProbabilities = targets.map(({ length }) => values.splice(0, length - 1));
  return { logProbabilities, scores: logProbabilities.map((each) => each.reduce((sum, value) => sum + value, 0)) };
}
