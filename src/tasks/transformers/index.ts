// The interface of transformers.js besides its pipelines, so that a program only has to change its import.

export { AutoConfig, type PretrainedConfig } from './auto-config.js';
export {
  AutoModel,
  type AutoModelClass,
  AutoModelForAudioClassification,
  AutoModelForAudioFrameClassification,
  AutoModelForCausalLM,
  AutoModelForCTC,
  AutoModelForDepthEstimation,
  AutoModelForDocumentQuestionAnswering,
  AutoModelForImageClassification,
  AutoModelForImageFeatureExtraction,
  AutoModelForImageSegmentation,
  AutoModelForImageTextToText,
  AutoModelForImageToImage,
  AutoModelForMaskedLM,
  AutoModelForMaskGeneration,
  AutoModelForObjectDetection,
  AutoModelForQuestionAnswering,
  AutoModelForSemanticSegmentation,
  AutoModelForSeq2SeqLM,
  AutoModelForSequenceClassification,
  AutoModelForSpeechSeq2Seq,
  AutoModelForTextToSpectrogram,
  AutoModelForTextToWaveform,
  AutoModelForTokenClassification,
  AutoModelForUniversalSegmentation,
  AutoModelForVision2Seq,
  AutoModelForXVector,
  AutoModelForZeroShotObjectDetection,
  CLIPTextModel,
  CLIPVisionModel,
  ClapAudioModelWithProjection,
  type GeneratedBy,
  type TransformersModel,
  type TransformersOutput,
} from './auto-model.js';
export {
  AutoFeatureExtractor,
  AutoImageProcessor,
  AutoProcessor,
  type TransformersProcessor,
} from './auto-processor.js';
export type { DecodeOptions, TextIds } from './auto-tokenizer.js';
export {
  AutoTokenizer,
  type ChatTemplateOptions,
  type FromPretrainedOptions,
  type TokenizedTexts,
  type TokenizerCallOptions,
  type TransformersTokenizer,
} from './auto-tokenizer.js';
export { type Environment, env, LogLevel } from './env.js';
export type { NumberList } from './maths.js';
export { cos_sim, dot, log_softmax, mean_pooling, softmax } from './maths.js';
export type { ProcessedMedia, TransformersInputs } from './model-inputs.js';
export * from './model-names.js';
export type { ProcessorCallOptions, ProcessorImage, ProcessorInput, PromptPoints } from './processed.js';
export * from './processor-names.js';
export { load_audio, RawAudio, read_audio } from './raw-audio.js';
export type { ImageChannels } from './raw-image.js';
export { type CanvasLike, load_image, RawImage, type Resample } from './raw-image.js';
export type { MaskOptions } from './sam-masks.js';
export {
  cat,
  full,
  full_like,
  interpolate,
  interpolate_4d,
  layer_norm,
  matmul,
  mean,
  ones,
  ones_like,
  permute,
  quantize_embeddings,
  rand,
  randn,
  slice,
  stack,
  std_mean,
  Tensor,
  type TensorConstructor,
  topk,
  zeros,
  zeros_like,
} from './tensor-functions.js';
export type { WhisperOptions } from './whisper-start.js';
export type { GeneratedSequences, TransformersGenerateOptions } from './write.js';
