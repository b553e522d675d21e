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
import { type TransformersGenerateOptions, write } from './write.js';

/** Tensors by the names of transformers.js, such as `logits` and `last_hidden_state`. */
export type TransformersOutput = Readonly<Record<string, HostTensor>>;

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
  generate(options: TransformersGenerateOptions): Promise<HostTensor<BigInt64Array>>;
  /** `inputs`: ids, pixels, features or samples. */
  generate(
    inputs: HostTensor<BigInt64Array> | HostTensor,
    options?: TransformersGenerateOptions,
  ): Promise<HostTensor<BigInt64Array>>;
  dispose(): Promise<void>;
}

/** Loads models by the name that transformers.js has for a kind of head. */
export interface AutoModelClass {
  /** Takes the options of `pipeline`. Rejects as `loadModel`. */
  from_pretrained(name: ModelLocation, options?: PipelineOptions): Promise<TransformersModel>;
}

const loader = (name: string, head?: HeadKind): AutoModelClass => ({
  async from_pretrained(location, options = {}) {
    const { model, close } = await openModel(`${name}.from_pretrained`, name, location, head, options);
    return callable(model, close);
  },
});

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
export const AutoModelForCTC: AutoModelClass = loader('AutoModelForCTC', 'ctc');
// Other classes load the head that config.json names.
export const AutoModelForSpeechSeq2Seq: AutoModelClass = loader('AutoModelForSpeechSeq2Seq');
export const AutoModelForVision2Seq: AutoModelClass = loader('AutoModelForVision2Seq');
export const AutoModelForImageTextToText: AutoModelClass = loader('AutoModelForImageTextToText');
export const AutoModelForMaskGeneration: AutoModelClass = loader('AutoModelForMaskGeneration');
export const CLIPModel: AutoModelClass = loader('CLIPModel', 'none');
export const CLIPTextModelWithProjection: AutoModelClass = loader('CLIPTextModelWithProjection');
export const CLIPVisionModelWithProjection: AutoModelClass = loader('CLIPVisionModelWithProjection');
export const SiglipModel: AutoModelClass = loader('SiglipModel', 'none');
export const SiglipTextModel: AutoModelClass = loader('SiglipTextModel', 'none');
export const SiglipVisionModel: AutoModelClass = loader('SiglipVisionModel', 'none');
export const ClapModel: AutoModelClass = loader('ClapModel', 'none');
export const ClapTextModelWithProjection: AutoModelClass = loader('ClapTextModelWithProjection');
export const ClapAudioModelWithProjection: AutoModelClass = loader('ClapAudioModelWithProjection');
export const SamModel: AutoModelClass = loader('SamModel');
export const Florence2ForConditionalGeneration: AutoModelClass = loader('Florence2ForConditionalGeneration');
export const MoonshineForConditionalGeneration: AutoModelClass = loader('MoonshineForConditionalGeneration');
export const WhisperForConditionalGeneration: AutoModelClass = loader('WhisperForConditionalGeneration');

function callable(model: LoadedModel, close: () => void): TransformersModel {
  const generate = (first: HostTensor<BigInt64Array> | HostTensor | TransformersGenerateOptions, second = {}) => {
    if (!(first instanceof HostTensor)) return write(model, first);
    return write(model, { ...second, [(first.type !== 'int64' && mediaInput(model)) || 'input_ids']: first });
  };
  const members = { model, config: model.config, generate, dispose: async () => close() };
  return Object.assign((inputs: TransformersInputs) => run(model, inputs), members) as TransformersModel;
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
