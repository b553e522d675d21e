import type { Tensor } from '../core/tensor.js';
import { type FinalWeights, WeightsCopy } from './final-weights.js';
import type { FitOptions, FitResult, Validation } from './fit-options.js';
import type { Learner } from './objective.js';
import type { Ranks } from './ranks.js';
import type { RunState } from './run-state.js';
import { areBetter, checkMetrics, validationsSinceBest } from './validations.js';

/** The weights that a run leaves in the model, and their metrics if they were measured. */
type FinalResult = Pick<FitResult, 'weights' | 'metrics'>;

/** The parts of a run that its validations need. */
interface ValidatedRun {
  readonly model: Learner['model'];
  /** The model's parameters that require gradients. */
  readonly trained: readonly Tensor[];
  readonly finalWeights: FinalWeights;
  readonly ranks: Ranks;
  readonly state: RunState;
  readonly options: FitOptions;
}

/** Validates a model in training. The results decide when early stopping ends, and which weights remain. */
export class Validator {
  constructor(private readonly run: ValidatedRun) {}

  /** Validates the model; returns true if the run should stop early. */
  async validate(): Promise<boolean> {
    const { model, state, finalWeights, options } = this.run;
    const { validate, onValidation, earlyStopping } = options;
    if (validate === undefined) return false;
    const { step, validations } = state;
    const validation = { step, metrics: await this.#measure() };
    validations.push(validation);
    await onValidation?.(validation);
    model.train();
    const best = earlyStopping === undefined || validationsSinceBest(validations, earlyStopping.metric) === 0;
    finalWeights.validated(validations.length, best);
    return this.hasWaited;
  }

  /** True if validations have not improved for `patience` validations of early stopping. */
  get hasWaited(): boolean {
    const { state, options } = this.run;
    const { earlyStopping } = options;
    if (earlyStopping === undefined) return false;
    return validationsSinceBest(state.validations, earlyStopping.metric) >= earlyStopping.patience;
  }

  /**
   * Puts the weights that the options require into the model. An average is used only if it is better than the last
   * weights.
   */
  async finish(): Promise<FinalResult> {
    const { state, finalWeights, options } = this.run;
    const { validate, earlyStopping } = options;
    const { validations } = state;
    const kind = finalWeights.kind(validations.length);
    if (kind === 'average' && validate !== undefined) return this.#finishWithAverage(validations.at(-1) as Validation);
    finalWeights.finish(validations.length);
    if (kind === 'average') return { weights: kind, metrics: undefined };
    const past = kind === 'best' && earlyStopping ? validationsSinceBest(validations, earlyStopping.metric) : 0;
    return { weights: kind, metrics: validations.at(-1 - past)?.metrics };
  }

  /** Leaves the weights of an aborted run as they are. */
  leave(): FinalResult {
    const { step, validations } = this.run.state;
    const last = validations.at(-1);
    return { weights: 'last', metrics: last?.step === step ? last.metrics : undefined };
  }

  /** Measures the average of the weights, and keeps it only if that is better than `last`. */
  async #finishWithAverage(last: Validation): Promise<FinalResult> {
    const { trained, state, finalWeights, options } = this.run;
    const weights = new WeightsCopy(trained);
    try {
      weights.blend(0, 1);
      finalWeights.finish(state.validations.length);
      const metrics = await this.#measure();
      const averageIsKept = areBetter(metrics, last.metrics);
      if (!averageIsKept) weights.restore();
      await options.onValidation?.({ step: last.step, metrics, averageIsKept });
      return averageIsKept ? { weights: 'average', metrics } : { weights: 'last', metrics: last.metrics };
    } finally {
      weights.dispose();
    }
  }

  /** Measures the model with its present weights. Returns the mean of the metrics over all ranks. */
  async #measure(): Promise<Record<string, number>> {
    const { model, state, ranks, options } = this.run;
    const { validate, earlyStopping } = options;
    model.eval();
    const metrics = validate === undefined ? {} : await validate(state.step);
    return ranks.mean(checkMetrics(metrics, earlyStopping?.metric));
  }
}
