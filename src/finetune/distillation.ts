import { checkOptions, listOf } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import { eachWithin } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { add, scale } from '../ops/binary.js';
import { mseLoss } from '../ops/losses.js';
import type { Objective } from '../train/fit.js';
import { distillationLoss } from './losses.js';
import { ModelObjective } from './model-objective.js';

export interface DistillationOptions {
  /** Temperature of both distributions. Default: 2. */
  temperature?: number | undefined;
  /**
   * Weight of the divergence from the teacher's logits. The objective's own loss has the weight 1 − alpha. Default:
   * 0.5.
   */
  alpha?: number | undefined;
  /** Pairs of hidden states, [student's, teacher's], that should be equal. Number 0 is the embedding. Default: none. */
  hiddenStates?: readonly (readonly [student: number, teacher: number])[] | undefined;
  /** Weight of the mean squared differences of `hiddenStates`. Default: 1. */
  hiddenWeight?: number | undefined;
}

/**
 * Trains a student with a teacher (Hinton et al. 2015). The loss is that of an objective, plus the divergence from the
 * teacher's logits and hidden states for the same examples. The teacher reads the same ids.
 *
 *     await fit(new Distillation(new SequenceClassification(student), teacher), rows, { batchSize: 32 });
 */
export class Distillation<Row extends object, Encoded> extends ModelObjective<Row, Encoded> {
  readonly #options: Complete<DistillationOptions>;

  constructor(
    private readonly objective: ModelObjective<Row, Encoded>,
    private readonly teacher: PretrainedModel,
    options: DistillationOptions = {},
  ) {
    super(objective.model);
    const kinds = {
      temperature: 'positive',
      alpha: 'fraction',
      hiddenWeight: 'notNegative',
      hiddenStates: listOf(listOf('whole', 'a pair of layers'), 'an array of pairs [student, teacher]'),
    } as const;
    const {
      temperature = 2,
      alpha = 0.5,
      hiddenStates = [],
      hiddenWeight = 1,
    } = checkOptions('Distillation', options, kinds);
    this.#options = { temperature, alpha, hiddenStates, hiddenWeight };
  }

  async prepare(rows: readonly Row[]): Promise<void> {
    await (this.objective as Partial<Objective<Row>>).prepare?.(rows);
  }

  protected override encode(row: Row): Encoded {
    return this.objective.encoded(row);
  }

  override inputs(examples: readonly Encoded[]) {
    return this.objective.inputs(examples);
  }

  protected override lengthOf(): number {
    return 1;
  }

  override tokensOf(row: Row): number {
    return this.objective.tokensOf(row);
  }

  override weightOf(rows: readonly Row[]): number {
    return this.objective.weightOf(rows);
  }

  override seedDropout(seed: number): void {
    this.objective.seedDropout(seed);
  }

  protected override *lossInParts(examples: readonly Encoded[]): Generator<unknown, Tensor> {
    const { temperature, alpha, hiddenStates: pairs, hiddenWeight } = this.#options;
    const hiddenStates = pairs.length > 0;
    const { labels, ...inputs } = this.inputs(examples);
    const student = yield* this.model.forwardInParts({ ...inputs, labels }, { hiddenStates });
    const pass = this.teacher.forwardInParts(inputs, { hiddenStates });
    const taught = yield* eachWithin((part) => this.device.noGrad(part), pass);
    if (!student.logits || !taught.logits || !student.loss)
      throw new ArgumentError('Distillation: the models return no logits, expected models with a head');
    const flat = (logits: Tensor) => logits.reshape(-1, logits.shape.at(-1) as number);
    const parts = [
      scale(student.loss, 1 - alpha),
      scale(distillationLoss(flat(student.logits), flat(taught.logits), { temperature }), alpha),
    ];
    for (const [layer, other] of pairs) {
      const [a, b] = [student.hiddenStates?.[layer], taught.hiddenStates?.[other]];
      if (!a || !b) throw new ArgumentError(`Distillation: there are no hidden states ${layer} and ${other}`);
      parts.push(scale(mseLoss(a, b), hiddenWeight));
    }
    return parts.reduce(add);
  }
}
