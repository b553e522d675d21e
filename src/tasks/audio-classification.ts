import { checkNumber, checkOptions, isWhole } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { labelsOf } from '../models/labels.js';
import { SoundModel } from '../models/sound-model.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { callOptionKinds } from './batches.js';
import { largest } from './scores.js';
import { extractorOf, inputOf, type SoundExtractor } from './speech/sound-extractor.js';
import { eachRecording, type SoundInput } from './speech/sound-inputs.js';
import { type CallOptions, NO_TEXT, type TaskContext, type TextlessTask } from './task.js';
import { type ClassScore, scoresOf } from './text-classification.js';

export interface AudioClassificationOptions extends CallOptions {
  /** Number of classes to return, the most likely first; null or 0: all. Default: 5. */
  top_k?: number | null | undefined;
}

/**
 * Returns the classes of a recording, the most likely first. An array of recordings gives an array of such lists.
 * Rejects with ArgumentError for values that are not recordings and for invalid options, FormatError for files that
 * `decodeAudio` cannot read, and the reason of `signal`.
 */
export interface AudioClassification {
  (recording: SoundInput, options?: AudioClassificationOptions): Promise<ClassScore[]>;
  (recordings: readonly SoundInput[], options?: AudioClassificationOptions): Promise<ClassScore[][]>;
}

const TASK = 'audio-classification';

export const audioClassification: TextlessTask<AudioClassification> = {
  head: 'sequence-classification',
  needs: NO_TEXT,
  create: (context) => {
    const { model, extractor } = classifierOf(context);
    async function call(recordings: SoundInput | readonly SoundInput[], options: AudioClassificationOptions = {}) {
      const { top_k: count = 5 } = checkOptions(TASK, options, { top_k: 'any', ...callOptionKinds });
      if (count !== null) checkNumber(TASK, 'top_k', count, isWhole, 'an integer, 0 or more, or null');
      const labels = labelsOf(context.model.config);
      return eachRecording(TASK, recordings, extractor.samplingRate, options, async (samples) => {
        const logits = await inferenceAsync(model, function* () {
          const input = yield* inputOf(model, extractor, samples);
          return (yield* model.forwardInParts({ [model.soundInput]: input })).logits as Tensor;
        });
        const scores = scoresOf(context.model, (await logits.data()) as Float32Array);
        logits.dispose();
        const ids = largest(scores, count || scores.length);
        return ids.map((id): ClassScore => ({ label: labels[id] as string, score: scores[id] as number }));
      });
    }
    return call as AudioClassification;
  },
};

/** Throws FormatError for a model that does not read sound, or without its feature extractor. */
function classifierOf({ model }: TaskContext): { model: SoundModel; extractor: SoundExtractor } {
  const { config } = model;
  if (!(model instanceof SoundModel))
    throw new FormatError(`${TASK}: the model is ${config.model_type}, expected one of sound, such as wav2vec2`);
  return { model, extractor: extractorOf(TASK, model) };
}
