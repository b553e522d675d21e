// Trains a model to prefer the better one of two answers (DPO).

import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { eachWithin } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { ModelInputs } from '../models/inputs.js';
import { IGNORED, nextLabels } from '../models/losses.js';
import { PretrainedModel } from '../models/pretrained-model.js';
import { packed } from '../nn/token-batch.js';
import { scale } from '../ops/binary.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { unpack } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import type { ChatMessage } from '../tokenizers/chat-template.js';
import { encodeChat, encodeContinuation } from './causal-language-model.js';
import { type AnswerScores, dpoLoss } from './losses.js';
import { ModelObjective, type ModelObjectiveOptions } from './model-objective.js';
import { type LabelledTokens, truncated } from './token-objective.js';

/** A question and two answers: texts, or messages. */
export interface PreferenceRow {
  readonly prompt: string | readonly ChatMessage[];
  readonly chosen: string | readonly ChatMessage[];
  readonly rejected: string | readonly ChatMessage[];
}

export interface PreferenceOptions extends ModelObjectiveOptions {
  /** The model from which the policy should not deviate too much. Default: the model without its adapters. */
  reference?: PretrainedModel | undefined;
  /** The weight β of the distance to the reference. Default: 0.1. */
  beta?: number | undefined;
}

/** A row as ids. */
export interface EncodedAnswers {
  readonly chosen: LabelledTokens;
  readonly rejected: LabelledTokens;
}

/**
 * Direct preference optimisation of a decoder. Rows are `{ prompt, chosen, rejected }`. Throws ArgumentError for a
 * model without an adapter if no `reference` is given.
 */
export class Preference extends ModelObjective<PreferenceRow, EncodedAnswers> {
  readonly #reference: PretrainedModel | null;
  readonly #beta: number;

  constructor(model: PretrainedModel, options: PreferenceOptions = {}) {
    const isModel = (value: unknown) => value instanceof PretrainedModel;
    const {
      maxLength,
      reference = null,
      beta = 0.1,
    } = checkOptions('Preference', options, {
      maxLength: 'count',
      reference: { accepts: isModel, expected: 'what loadModel gives' },
      beta: 'positive',
    });
    super(model, { maxLength });
    if (reference === null && model.activeAdapters.length === 0)
      throw new ArgumentError(
        'Preference: the model has no adapter, so it needs a reference: load the model a second time',
      );
    this.#reference = reference;
    this.#beta = beta;
  }

  async prepare(rows: readonly PreferenceRow[]): Promise<void> {
    for (const row of rows) {
      if (typeof row?.prompt === 'string' || this.isKnown(row)) continue;
      const chat = async (answer: PreferenceRow['chosen']) => {
        const turn = typeof answer === 'string' ? [{ role: 'assistant', content: answer }] : answer;
        return truncated(
          await encodeChat(this.model, [...(row.prompt as readonly ChatMessage[]), ...turn]),
          this.maxLength,
        );
      };
      this.remember(row, { chosen: await chat(row.chosen), rejected: await chat(row.rejected) });
    }
  }

  protected override encode({ prompt, chosen, rejected }: PreferenceRow): EncodedAnswers {
    if (![prompt, chosen, rejected].every((text) => typeof text === 'string'))
      throw new ArgumentError('fit: an example needs prompt, chosen and rejected, each a text or messages');
    const of = (answer: unknown) =>
      truncated(encodeContinuation(this.model, prompt as string, answer as string), this.maxLength);
    return { chosen: of(chosen), rejected: of(rejected) };
  }

  override inputs(examples: readonly EncodedAnswers[]): ModelInputs {
    const all = sides(examples);
    return { inputIds: packed(all.map(({ inputIds }) => inputIds)) };
  }

  protected override lengthOf({ chosen, rejected }: EncodedAnswers): number {
    return chosen.inputIds.length + rejected.inputIds.length;
  }

  protected override *lossInParts(examples: readonly EncodedAnswers[]): Generator<unknown, Tensor> {
    const policy = yield* this.#scores(this.model, examples, undefined);
    const pass = this.#scores(this.#reference ?? this.model, examples, this.#reference ? undefined : null);
    const reference = yield* eachWithin((part) => this.device.noGrad(part), pass);
    return dpoLoss(policy, reference, { beta: this.#beta });
  }

  /** Computes the log-probabilities of both answers to each question. */
  *#scores(
    model: PretrainedModel,
    examples: readonly EncodedAnswers[],
    adapter: null | undefined,
  ): Generator<unknown, AnswerScores> {
    const { device } = this;
    const all = sides(examples);
    const counts = all.map(({ inputIds }) => inputIds.length);
    const wasTraining = model.training;
    if (adapter === null || model !== this.model) model.eval();
    let logits: Tensor;
    try {
      logits = (yield* model.forwardInParts(this.inputs(examples), { adapter })).logits as Tensor;
    } finally {
      if (wasTraining) model.train();
    }
    yield;
    const labels = nextLabels(
      all.flatMap((side) => side.labels),
      counts,
    );
    const targets = device.tensor(Int32Array.from(labels));
    const losses = crossEntropy(logits, targets, { reduction: 'none', ignoreIndex: IGNORED });
    const rows = unpack(losses.reshape(-1, 1), device.tensor(Int32Array.from(counts)), Math.max(...counts));
    const totals = scale(sum(rows, { axis: [1, 2] }), -1);
    const half = examples.length;
    return { chosen: totals.columns(0, half), rejected: totals.columns(half, 2 * half) };
  }
}

/** Returns the chosen answers, then the rejected ones. */
function sides(examples: readonly EncodedAnswers[]): LabelledTokens[] {
  return [...examples.map(({ chosen }) => chosen), ...examples.map(({ rejected }) => rejected)];
}
