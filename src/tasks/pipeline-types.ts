// The types of pipelines, by their names in transformers.js.

import type { Pipeline } from './pipeline.js';

export type AudioClassificationPipeline = Pipeline<'audio-classification'>;
export type AutomaticSpeechRecognitionPipeline = Pipeline<'automatic-speech-recognition'>;
export type BackgroundRemovalPipeline = Pipeline<'background-removal'>;
export type DepthEstimationPipeline = Pipeline<'depth-estimation'>;
export type DocumentQuestionAnsweringPipeline = Pipeline<'document-question-answering'>;
export type FeatureExtractionPipeline = Pipeline<'feature-extraction'>;
export type FillMaskPipeline = Pipeline<'fill-mask'>;
export type ImageClassificationPipeline = Pipeline<'image-classification'>;
export type ImageFeatureExtractionPipeline = Pipeline<'image-feature-extraction'>;
export type ImageSegmentationPipeline = Pipeline<'image-segmentation'>;
export type ImageToImagePipeline = Pipeline<'image-to-image'>;
export type ImageToTextPipeline = Pipeline<'image-to-text'>;
export type ObjectDetectionPipeline = Pipeline<'object-detection'>;
export type QuestionAnsweringPipeline = Pipeline<'question-answering'>;
export type SummarizationPipeline = Pipeline<'summarization'>;
export type Text2TextGenerationPipeline = Pipeline<'text2text-generation'>;
export type TextClassificationPipeline = Pipeline<'text-classification'>;
export type TextGenerationPipeline = Pipeline<'text-generation'>;
export type TextToAudioPipeline = Pipeline<'text-to-speech'>;
export type TokenClassificationPipeline = Pipeline<'token-classification'>;
export type TranslationPipeline = Pipeline<'translation'>;
export type ZeroShotAudioClassificationPipeline = Pipeline<'zero-shot-audio-classification'>;
export type ZeroShotClassificationPipeline = Pipeline<'zero-shot-classification'>;
export type ZeroShotImageClassificationPipeline = Pipeline<'zero-shot-image-classification'>;
export type ZeroShotObjectDetectionPipeline = Pipeline<'zero-shot-object-detection'>;
