// Computes metrics of token predictions and of generated texts.

import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { bleu } from '../metrics/bleu.js';
import { chrf } from '../metrics/chrf.js';
import { accuracy } from '../metrics/classification.js';
import { spearman } from '../metrics/correlation.js';
import { entityScores } from '../metrics/entities.js';
import { labelsOf } from '../models/labels.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { inference } from '../nn/module.js';
import { packed } from '../nn/token-batch.js';
import type { ChatMessage } from '../tokenizers/chat-template.js';
import { CausalLanguageModel, type CausalRow } from './causal-language-model.js';
import { type EmbeddingRow, embedTexts, scoreOf } from './embedding.js';
import { encodeText, limitOf, tokenizerOf } from './encoded.js';
import { byLength } from './in-batches.js';
import type { ModelObjective } from './model-objective.js';
import { type Seq2SeqRow, SequenceToSequence } from './sequence-to-sequence.js';
import { encodeWords, MaskedLanguageModel, type TokenClassificationRow } from './token-objectives.js';

export interface EvaluationOptions {
  readonly maxLength?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hypotheses of beam search. Default: 1. */
  readonly beams?: number | undefined;
}

/** Throws ArgumentError for options of the wrong type. */
function checkEvaluation(op: string, options: EvaluationOptions): EvaluationOptions {
  return checkOptions(op, options, { maxLength: 'count', signal: 'signal', beams: 'count' });
}

/** Computes the mean loss of an objective over rows, weighted by their numbers of labels. */
export async function lossOver<Row extends object>(
  objective: ModelObjective<Row, unknown>,
  rows: readonly Row[],
  signal?: AbortSignal,
): Promise<number> {
  const { prepare } = objective as { prepare?: (rows: readonly Row[]) => Promise<void> };
  await prepare?.call(objective, rows);
  let [sum, total] = [0, 0];
  const { model } = objective;
  await byLength(
    rows,
    (row) => objective.tokensOf(row),
    async (batch) => {
      signal?.throwIfAborted();
      const weight = objective.weightOf(batch);
      const loss = inference(model, () => objective.lossOf(batch, {}));
      sum += weight * (weight > 0 ? await loss.item() : 0);
      total += weight;
      loss.dispose();
      return batch.map(() => null);
    },
  );
  return sum / total;
}

/** Computes the accuracy of the labels of words, and the F1 of the entities that they form. */
export async function evaluateTokens(
  model: PretrainedModel,
  rows: readonly TokenClassificationRow[],
  options: EvaluationOptions = {},
): Promise<Record<string, number>> {
  const { maxLength, signal } = checkEvaluation('evaluateTokens', options);
  const names = labelsOf(model.config);
  const limit = limitOf(model, maxLength);
  const encoded = rows.map(({ tokens }) => encodeWords(model, tokens, limit));
  const predicted = await byLength(
    encoded,
    ({ inputIds }) => inputIds.length,
    async (batch) => {
      signal?.throwIfAborted();
      const inputIds = packed(batch.map((example) => example.inputIds));
      const logits = inference(model, () => model.forward({ inputIds }).logits as Tensor);
      const values = await logits.data();
      logits.dispose();
      let row = 0;
      return batch.map(({ firsts }) =>
        firsts.flatMap((word) => {
          const scores = Array.from(values.slice(row * names.length, ++row * names.length));
          return word === null ? [] : [names[scores.indexOf(Math.max(...scores))] as string];
        }),
      );
    },
  );
  const nameOf = (label: string | number) => (typeof label === 'number' ? (names[label] ?? String(label)) : label);
  // Words beyond the model's maximum length get no prediction. They count as outside of entities.
  const actual = rows.map(({ labels }) => labels.map(nameOf));
  const complete = actual.map((labels, i) => labels.map((_, word) => predicted[i]?.[word] ?? 'O'));
  const { precision, recall, f1 } = entityScores(complete, actual);
  return { accuracy: accuracy(complete.flat(), actual.flat()), precision, recall, f1 };
}

/** Computes the loss of masked tokens (the same ones in each evaluation) and its perplexity. */
export async function evaluateMasked(
  model: PretrainedModel,
  rows: readonly { readonly text: string }[],
  options: EvaluationOptions = {},
): Promise<Record<string, number>> {
  const { maxLength, signal } = checkEvaluation('evaluateMasked', options);
  const objective = new MaskedLanguageModel(model, { maxLength });
  const loss = await lossOver(objective, rows, signal);
  return { loss, perplexity: Math.exp(loss) };
}

/**
 * Computes the loss of the tokens to learn, its perplexity, and the fraction of last answers that the model generates
 * exactly.
 */
export async function evaluateCausal(
  model: PretrainedModel,
  rows: readonly CausalRow[],
  options: EvaluationOptions = {},
): Promise<Record<string, number>> {
  const { maxLength, signal, beams = 1 } = checkEvaluation('evaluateCausal', options);
  const loss = await lossOver(new CausalLanguageModel(model, { maxLength }), rows, signal);
  const result = { loss, perplexity: Math.exp(loss) };
  const chats = rows.flatMap(({ messages }) => (messages?.at(-1)?.role === 'assistant' ? [messages] : []));
  if (chats.length === 0) return result;
  const answers = await answersTo(
    model,
    chats.map((messages) => messages.slice(0, -1)),
    chats,
    { signal, beams },
  );
  const isRight = answers.map((answer, i) => Number(answer === String(chats[i]?.at(-1)?.content).trim()));
  return { ...result, exactMatch: isRight.reduce((sum, right) => sum + right, 0) / isRight.length };
}

async function answersTo(
  model: PretrainedModel,
  prompts: readonly (readonly ChatMessage[])[],
  chats: readonly (readonly ChatMessage[])[],
  { signal, beams }: { signal: AbortSignal | undefined; beams: number },
): Promise<string[]> {
  const tokenizer = tokenizerOf('eval', model);
  const ids = await Promise.all(
    prompts.map((prompt) => tokenizer.applyChatTemplate(prompt, { addGenerationPrompt: true })),
  );
  const lengths = chats.map((messages) => tokenizer.encode(String(messages.at(-1)?.content)).length);
  const maxNewTokens = 2 * Math.max(...lengths) + 16;
  return byLength(
    ids,
    ({ length }) => length + maxNewTokens,
    async (batch) => {
      const options = { maxNewTokens, numBeams: beams, doSample: false, signal };
      const { sequences } = await model.generate(batch, options);
      return sequences.map((sequence) => tokenizer.decode(sequence).trim());
    },
  );
}

/** Returns the loss of targets, and BLEU and chrF of the texts that the model generates for sources. */
export async function evaluateSequenceToSequence(
  model: PretrainedModel,
  rows: readonly Seq2SeqRow[],
  options: EvaluationOptions = {},
): Promise<Record<string, number>> {
  const { maxLength, signal, beams = 1 } = checkEvaluation('evaluateSequenceToSequence', options);
  const tokenizer = tokenizerOf('eval', model);
  const limit = limitOf(model, maxLength);
  const loss = await lossOver(new SequenceToSequence(model, { maxLength }), rows, signal);
  const sources = rows.map(({ source }) => [...encodeText(model, source, undefined, limit).inputIds]);
  const written = await byLength(
    sources,
    ({ length }) => length,
    async (batch) => {
      const { sequences } = await model.generate(batch, { numBeams: beams, signal });
      return sequences.map((sequence) => tokenizer.decode(sequence).trim());
    },
  );
  const targets = rows.map(({ target }) => target);
  return { loss, bleu: bleu(written, targets).score, chrf: chrf(written, targets) };
}

/**
 * Computes Spearman's correlation of cosines and scores if rows have scores. Otherwise computes how often a text's own
 * pair is the nearest.
 */
export async function evaluateEmbeddings(
  model: PretrainedModel,
  rows: readonly EmbeddingRow[],
  options: EvaluationOptions = {},
): Promise<Record<string, number>> {
  checkEvaluation('evaluateEmbeddings', options);
  const texts = rows.map(({ text, anchor }) => (text ?? anchor) as string);
  const pairs = rows.map(({ pair, positive }) => (pair ?? positive) as string);
  if (![...texts, ...pairs].every((text) => typeof text === 'string'))
    throw new ArgumentError('eval: a row has no text and pair, and no anchor and positive');
  const vectors = await embedTexts(model, [...texts, ...pairs], options);
  const [a, b] = [vectors.slice(0, rows.length), vectors.slice(rows.length)];
  if (rows.every(({ score }) => score !== undefined)) {
    const cosines = a.map((vector, i) => cosine(vector, b[i] as Float32Array));
    return {
      spearman: spearman(
        cosines,
        rows.map(({ score }) => scoreOf(score)),
      ),
    };
  }
  const nearest = a.filter((vector, i) => {
    const similarity = cosine(vector, b[i] as Float32Array);
    return b.every((other, j) => j === i || cosine(vector, other) < similarity);
  });
  return { accuracy: nearest.length / rows.length };
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, first, second] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += (a[i] as number) * (b[i] as number);
    first += (a[i] as number) ** 2;
    second += (b[i] as number) ** 2;
  }
  return product / Math.sqrt(first * second);
}
