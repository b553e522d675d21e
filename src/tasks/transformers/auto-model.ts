// AutoModel and similar classes of transformers.js.

import { checkOptions } from '../../core/check.js';
import { snakeCase } from '../../core/snake-case.js';
import { Tensor } from '../../core/tensor.js';
import type { HeadKind } from '../../models/pretrained-model.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import type { ModelLocation } from '../../pretrained/open-source.js';
import { HostTensor } from '../host-tensor.js';
import { openModel, type PipelineOptions } from '../pipeline.js';
import { read } from '../text-inputs.js';
import {
  hasImagePrompts,
  hostInputs,
  imagePrompts,
  mediaInput,
  modelInputs,
  type TransformersInputs,
} from './model-inputs.js';
import { type GeneratedSequences, type TransformersGenerateOptions, write } from './write.js';

/** Tensors by the names of transformers.js, such as `logits` and `last_hidden_state`. */
export type TransformersOutput = Readonly<Record<string, HostTensor>>;

/** The result of `generate` with these options. */
export type GeneratedBy<Options extends TransformersGenerateOptions> = Options['return_dict_in_generate'] extends true
  ? GeneratedSequences
  : HostTensor<BigInt64Array>;

/** A model with the interface of transformers.js: call it with the result of a tokenizer. */
export interface TransformersModel {
  (inputs: TransformersInputs): Promise<TransformersOutput>;
  /** This model with simdformer's own interface. */
  readonly model: LoadedModel;
  readonly config: Readonly<Record<string, unknown>>;
  /**
   * Generates text. Returns ids, int64 [B, T]: the prompt and the generated tokens, with the end token if there is one.
   * For models with an encoder, the start token replaces the prompt. Rows that ended early are padded at the end.
   */
  generate<Options extends TransformersGenerateOptions>(options: Options): Promise<GeneratedBy<Options>>;
  /** `inputs`: ids, pixels, features or samples. */
  generate<Options extends TransformersGenerateOptions>(
    inputs: HostTensor<BigInt64Array> | HostTensor,
    options?: Options,
  ): Promise<GeneratedBy<Options>>;
  dispose(): Promise<void>;
}

/** Loads models by the name that transformers.js has for a kind of head. */
export interface AutoModelClass {
  /** Takes the options of `pipeline`. Rejects as `loadModel`. */
  from_pretrained(name: ModelLocation, options?: PipelineOptions): Promise<TransformersModel>;
}

const loader = (name: string, head?: HeadKind, tower?: PipelineOptions['tower']): AutoModelClass => ({
  async from_pretrained(location, options = {}) {
    const all = tower === undefined ? options : { ...options, tower };
    const { model, close } = await openModel(`${name}.from_pretrained`, name, location, head, all);
    return callable(model, close);
  },
});

/** The class of one encoder of a model that compares texts with images or sounds. */
const encoder = (name: string, tower: PipelineOptions['tower']): AutoModelClass => loader(name, undefined, tower);

export const AutoModel: AutoModelClass = loader('AutoModel', 'none');
export const AutoModelForSequenceClassification: AutoModelClass = loader(
  'AutoModelForSequenceClassification',
  'sequence-classification',
);
export const AutoModelForTokenClassification: AutoModelClass = loader(
  'AutoModelForTokenClassification',
  'token-classification',
);
export const AutoModelForQuestionAnswering: AutoModelClass = loader(
  'AutoModelForQuestionAnswering',
  'question-answering',
);
export const AutoModelForMaskedLM: AutoModelClass = loader('AutoModelForMaskedLM', 'masked-language-model');
export const AutoModelForCausalLM: AutoModelClass = loader('AutoModelForCausalLM', 'language-model');
export const AutoModelForSeq2SeqLM: AutoModelClass = loader('AutoModelForSeq2SeqLM', 'language-model');
export const AutoModelForImageClassification: AutoModelClass = loader(
  'AutoModelForImageClassification',
  'image-classification',
);
export const AutoModelForObjectDetection: AutoModelClass = loader('AutoModelForObjectDetection', 'object-detection');
export const AutoModelForDepthEstimation: AutoModelClass = loader('AutoModelForDepthEstimation', 'depth-estimation');
export const AutoModelForAudioClassification: AutoModelClass = loader(
  'AutoModelForAudioClassification',
  'sequence-classification',
);
export const AutoModelForAudioFrameClassification: AutoModelClass = loader(
  'AutoModelForAudioFrameClassification',
  'frame-classification',
);
export const AutoModelForXVector: AutoModelClass = loader('AutoModelForXVector', 'x-vector');
export const AutoModelForCTC: AutoModelClass = loader('AutoModelForCTC', 'ctc');
export const AutoModelForImageFeatureExtraction: AutoModelClass = loader('AutoModelForImageFeatureExtraction', 'none');
export const AutoModelForSemanticSegmentation: AutoModelClass = loader(
  'AutoModelForSemanticSegmentation',
  'semantic-segmentation',
);
export const AutoModelForImageToImage: AutoModelClass = loader('AutoModelForImageToImage', 'image-super-resolution');
// Other classes load the head that config.json names.
export const AutoModelForSpeechSeq2Seq: AutoModelClass = loader('AutoModelForSpeechSeq2Seq');
export const AutoModelForVision2Seq: AutoModelClass = loader('AutoModelForVision2Seq');
export const AutoModelForImageTextToText: AutoModelClass = loader('AutoModelForImageTextToText');
export const AutoModelForMaskGeneration: AutoModelClass = loader('AutoModelForMaskGeneration');
export const AutoModelForImageSegmentation: AutoModelClass = loader('AutoModelForImageSegmentation');
export const AutoModelForUniversalSegmentation: AutoModelClass = loader('AutoModelForUniversalSegmentation');
export const AutoModelForZeroShotObjectDetection: AutoModelClass = loader('AutoModelForZeroShotObjectDetection');
export const AutoModelForDocumentQuestionAnswering: AutoModelClass = loader('AutoModelForDocumentQuestionAnswering');
export const AutoModelForTextToSpectrogram: AutoModelClass = loader('AutoModelForTextToSpectrogram');
export const AutoModelForTextToWaveform: AutoModelClass = loader('AutoModelForTextToWaveform');
export const CLIPTextModel: AutoModelClass = encoder('CLIPTextModel', 'text');
export const CLIPVisionModel: AutoModelClass = encoder('CLIPVisionModel', 'vision');
export const ClapAudioModelWithProjection: AutoModelClass = encoder('ClapAudioModelWithProjection', 'audio');

function callable(model: LoadedModel, close: () => void): TransformersModel {
  const generate = (first: HostTensor<BigInt64Array> | HostTensor | TransformersGenerateOptions, second = {}) => {
    if (!(first instanceof HostTensor)) return write(model, first);
    return write(model, { ...second, [(first.type !== 'int64' && mediaInput(model)) || 'input_ids']: first });
  };
  const members = { model, config: model.config, generate, dispose: async () => close() };
  return Object.assign((inputs: TransformersInputs) => run(model, inputs), members) as unknown as TransformersModel;
}

async function run(model: LoadedModel, inputs: TransformersInputs): Promise<TransformersOutput> {
  const given = hostInputs('model', model, checkOptions('model', inputs as object));
  const images = hasImagePrompts(model, given) ? await imagePrompts(model, given) : null;
  // The ids of prompts name their images.
  const others = images ? new Map([...given].filter(([name]) => name.startsWith('decoder_'))) : given;
  const found: [name: string, shape: readonly number[]][] = [];
  try {
    const values = await read(model, function* () {
      const tensors: Tensor[] = [];
      const ids = images && { inputIds: images.prompts };
      for (const [name, value] of Object.entries(
        yield* model.forwardInParts({ ...modelInputs(model, others), ...ids }),
      )) {
        if (!(value instanceof Tensor)) continue;
        found.push([snakeCase(name), value.shape]);
        tensors.push(value);
      }
      return tensors as [Tensor, ...Tensor[]];
    });
    return Object.fromEntries(
      found.map(([name, shape], i) => [name, new HostTensor(values[i] as Float32Array, shape)]),
    );
  } finally {
    images?.dispose();
  }
}
