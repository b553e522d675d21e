export type { DetectedBox, DetectedObject } from '../metrics/detection.js';
export type { FlorenceAnswer, FlorenceBox } from '../pretrained/processors/florence2.js';
export type { Answer } from './answers.js';
export type { AudioClassification, AudioClassificationOptions } from './audio-classification.js';
export type {
  PartialTranscript,
  SoundInput,
  SoundStream,
  SpeechRecognition,
  SpeechRecognitionOptions,
  SpeechRecognitionOutput,
  TranscriptChunk,
} from './automatic-speech-recognition.js';
export type { WhenFull } from './chat/chat-options.js';
export type { ReadTokens } from './chat/context.js';
export * from './chat/index.js';
export type { DepthEstimation, EstimatedDepth } from './depth-estimation.js';
export type { WordAnswer, WordBox, WordBoxOptions } from './document-answers.js';
export type { AggregationStrategy, EntityGroup, TokenEntity } from './entities.js';
export type { FeatureExtraction, FeatureExtractionOptions, FeaturesOf, Pooling } from './feature-extraction.js';
export type { FilledMask, FillMask, FillMaskOptions } from './fill-mask.js';
export type { GenerationArguments } from './generation-arguments.js';
export type { HostData } from './host-tensor.js';
export { HostTensor, type NestedArray } from './host-tensor.js';
export type { ImageClassification, ImageClassificationOptions } from './image-classification.js';
export type { ImageFeatureExtraction, ImageFeatureExtractionOptions } from './image-feature-extraction.js';
export type { ImageInput } from './image-inputs.js';
export type { MapSize } from './image-maps.js';
export type {
  BackgroundRemoval,
  ImageSegmentation,
  ImageSegmentationOptions,
  Segment,
  SegmentationSubtask,
} from './image-segmentation.js';
export type { GeneratedFromImages, ImageTextToText, ImageTextToTextOptions } from './image-text-to-text.js';
export type { ImageToImage } from './image-to-image.js';
export type {
  DocumentAnswer,
  DocumentQuestionAnswering,
  DocumentQuestionAnsweringOptions,
  ImageToText,
  ImageToTextOptions,
  TextOfImage,
} from './image-to-text.js';
export type { Box, RunMask } from './mask-filters.js';
export type { GeneratedMasks, MaskGeneration, MaskGenerationOptions } from './mask-generation.js';
export type { MediaFile } from './media-source.js';
export type { ObjectDetection, ObjectDetectionOptions } from './object-detection.js';
export { type Passage, splitPassages } from './passages.js';
export type { TokenlessTask } from './pipeline.js';
export { type Pipeline, type PipelineOptions, type PipelineProgress, pipeline } from './pipeline.js';
export type * from './pipeline-types.js';
export type { PromptNames } from './prompts.js';
export type { AnswersOf, QuestionAnswering, QuestionAnsweringOptions } from './question-answering.js';
export type { CallOf, TaskName, TasksByName } from './registry.js';
export type { SentenceSimilarity, SentenceSimilarityInputs, SentenceSimilarityOptions } from './sentence-similarity.js';
export type { SpeechQuality } from './speech/quality.js';
export type { RatedSamples, SoundSamples } from './speech/sound-inputs.js';
export type { SpeechTask } from './speech/whisper-context.js';
export {
  EosTokenCriteria,
  InterruptableStoppingCriteria,
  MaxLengthCriteria,
  StoppingCriteria,
  StoppingCriteriaList,
} from './stopping-criteria.js';
export type { Summarization, SummarizationOptions, Summary } from './summarization.js';
export type { CallOptions, TaskProgress } from './task.js';
export type { ClassScore, TextClassification, TextClassificationOptions, TextWithPair } from './text-classification.js';
export type { ChatMessages, GeneratedText, TextGeneration, TextGenerationOptions } from './text-generation.js';
export type { TruncationOptions } from './text-inputs.js';
export type { RankedDocument, TextRanking, TextRankingOptions } from './text-ranking.js';
export {
  BaseStreamer,
  type Streamer,
  type StreamerTokenizer,
  TextStreamer,
  type TextStreamerOptions,
  WhisperTextStreamer,
  type WhisperTextStreamerOptions,
} from './text-streamer.js';
export type { TextToSpeech, TextToSpeechOptions } from './text-to-speech.js';
export type { TextToTextOptions, WriteTexts, WrittenScores } from './text-to-text.js';
export type { Text2Text, Text2TextGeneration } from './text2text-generation.js';
export type { ClassifyTokens, EntityOf, TokenClassificationOptions } from './token-classification.js';
export * from './transformers/index.js';
export type { Translate, Translation, TranslationOptions } from './translation.js';
export type {
  ZeroShotAudioClassification,
  ZeroShotAudioClassificationOptions,
} from './zero-shot-audio-classification.js';
export type {
  ZeroShotClassification,
  ZeroShotClassificationOptions,
  ZeroShotScores,
} from './zero-shot-classification.js';
export type {
  ZeroShotImageClassification,
  ZeroShotImageClassificationOptions,
} from './zero-shot-image-classification.js';
export type { ZeroShotObjectDetection, ZeroShotObjectDetectionOptions } from './zero-shot-object-detection.js';
