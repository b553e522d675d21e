// The interface of transformers.js besides its pipelines, so that a program only has to change its import.
export {
  AutoModel,
  type AutoModelClass,
  AutoModelForCausalLM,
  AutoModelForMaskedLM,
  AutoModelForQuestionAnswering,
  AutoModelForSeq2SeqLM,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  type TransformersGenerateOptions,
  type TransformersInputs,
  type TransformersModel,
  type TransformersOutput,
} from './auto-model.js';
export {
  AutoTokenizer,
  type ChatTemplateOptions,
  type FromPretrainedOptions,
  type TokenizedTexts,
  type TokenizerCallOptions,
  type TransformersTokenizer,
} from './auto-tokenizer.js';
export { type Environment, env } from './env.js';
export { cos_sim, dot, mean_pooling, softmax } from './maths.js';
export { load_audio, RawAudio, read_audio } from './raw-audio.js';
export { type CanvasLike, load_image, RawImage, type Resample } from './raw-image.js';
