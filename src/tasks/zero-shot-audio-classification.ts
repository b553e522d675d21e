import { checkOptions } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { Clap } from '../models/families/clap.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { ClapFeatureExtractor } from '../pretrained/processors/clap.js';
import { callOptionKinds } from './batches.js';
import { softmax } from './scores.js';
import { eachRecording, type SoundInput } from './speech/sound-inputs.js';
import { type CallOptions, NO_INPUT_IDS, type Task, type TaskContext } from './task.js';
import type { ClassScore } from './text-classification.js';
import { checkCandidateLabels, tokenizerOf, tokenLimit } from './text-inputs.js';

export interface ZeroShotAudioClassificationOptions extends CallOptions {
  /** The text that is compared with a recording, with `{}` for a label. Default: 'This is a sound of {}.' */
  hypothesis_template?: string | undefined;
}

/**
 * Scores the caller's labels for a recording, in the order of the labels. Scores add up to 1. An array of recordings
 * gives an array of such lists. Rejects with ArgumentError for values that are not recordings and for invalid options,
 * FormatError for files that `decodeAudio` cannot read, and the reason of `signal`.
 */
export interface ZeroShotAudioClassification {
  (
    recording: SoundInput,
    candidate_labels: readonly string[],
    options?: ZeroShotAudioClassificationOptions,
  ): Promise<ClassScore[]>;
  (
    recordings: readonly SoundInput[],
    candidate_labels: readonly string[],
    options?: ZeroShotAudioClassificationOptions,
  ): Promise<ClassScore[][]>;
}

const TASK = 'zero-shot-audio-classification';

export const zeroShotAudioClassification: Task<ZeroShotAudioClassification> = {
  head: 'none',
  needs: NO_INPUT_IDS,
  create: (context) => {
    const { model, extractor } = classifierOf(context);
    const tokenizer = tokenizerOf(context);
    async function call(
      recordings: SoundInput | readonly SoundInput[],
      labels: readonly string[],
      options: ZeroShotAudioClassificationOptions = {},
    ) {
      const { hypothesis_template: template = 'This is a sound of {}.' } = checkOptions(TASK, options, {
        hypothesis_template: 'string',
        ...callOptionKinds,
      });
      checkCandidateLabels(TASK, labels);
      const texts = labels.map((label) => template.replaceAll('{}', () => label));
      const { inputIds } = tokenizer.encodeBatch(texts, { truncation: true, maxLength: tokenLimit(context.model) });
      return eachRecording(TASK, recordings, extractor.samplingRate, options, async (samples) => {
        const logits = await inferenceAsync(model, function* () {
          const { data, shape } = yield* extractor.processInParts([samples]);
          const features = {
            inputFeatures: model.device.tensor(data, shape),
            ...(extractor.fuses && { isLonger: [[1]] }),
          };
          return (yield* model.forwardInParts({ inputIds, ...features })).logitsPerAudio as Tensor;
        });
        const scores = softmax((await logits.data()) as Float32Array);
        logits.dispose();
        return labels.map((label, j): ClassScore => ({ label, score: scores[j] as number }));
      });
    }
    return call as ZeroShotAudioClassification;
  },
};

/** Throws FormatError for a model that does not compare texts and sounds, or without its feature extractor. */
function classifierOf({ model }: TaskContext): { model: Clap; extractor: ClapFeatureExtractor } {
  const { config, processor } = model;
  if (!(model instanceof Clap && model.text && model.audio))
    throw new FormatError(`${TASK}: the model is ${config.model_type}, expected clap`);
  if (!(processor instanceof ClapFeatureExtractor))
    throw new FormatError(
      `${TASK}: the model's folder has no preprocessor_config.json, which says how sounds are read`,
    );
  if (processor.fuses !== model.takes('isLonger'))
    throw new FormatError(
      `${TASK}: truncation of preprocessor_config.json does not fit enable_fusion of config.json, expected fusion with it`,
    );
  return { model, extractor: processor };
}
