import { ArgumentError } from '../core/errors.js';
import { inference } from '../models/inference.js';
import { checkSides } from '../models/sides.js';
import { shiftedTargets } from '../models/targets.js';
import type { Transformer } from '../models/transformer.js';
import { packed, type Tokens } from '../nn/token-batch.js';
import { gather } from '../ops/move.js';
import { logSoftmax } from '../ops/softmax.js';
import { readRows } from './generate.js';
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
  const [rows, targets] = await Promise.all([
    source && readRows('score: source', model, source),
    readRows('score: target', model, target),
  ]);
  const { targetVocab } = model.config;
  const { inputs, labels } = shiftedTargets('score', targets, null);
  for (const [i, row] of targets.entries()) checkTokens('score', `a token of target ${i}`, row, model);
  const { reading } = inference(model, () => {
    const logits = model.forward(rows && packed(rows), packed(inputs));
    const all = logSoftmax(logits).reshape(-1, 1);
    const places = Int32Array.from(labels, (label, i) => i * targetVocab + label);
    return { reading: gather(all, model.device.tensor(places)).data() };
  });
  const values = Array.from(await reading);
  const logProbabilities = targets.map((row) => values.splice(0, row.length - 1));
  return { logProbabilities, scores: logProbabilities.map((row) => row.reduce((sum, value) => sum + value, 0)) };
}
