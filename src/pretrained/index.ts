export type { FeatureDraft, GenerateOptions } from '../generate/generate-options.js';
export type { DetectionTarget, ForwardOptions, ModelInputs, ModelOutput, Rows } from '../models/inputs.js';
export type { Json } from '../models/model-config.js';
export type { Adapter, AdapterChoice } from '../models/pretrained-model.js';
export { type HeadKind, PretrainedModel } from '../models/pretrained-model.js';
export type { CombinedScore, ComputeScoreOptions, ScoreWeights } from '../models/retrieval/combined-score.js';
export type { OneOrMoreVectors, TextVector } from '../models/retrieval/similarity.js';
export type { StateParameterEntry } from '../nn/state-entry.js';
export type { GgufFileType } from './gguf/file-types.js';
export type { SaveGgufOptions } from './gguf/save-gguf.js';
export type { DownloadProgress, HubOptions } from './hub-options.js';
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  loadTextModel,
  loadTokenizer,
  type ModelFor,
  type NewModelOptions,
  newModel,
  saveGguf,
  type TextModel,
} from './load-later.js';
export { loadPredictor, type PredictorOptions } from './load-predictor-later.js';
export type { OnnxChoice, OnnxDType } from './onnx/files.js';
export type { FileContent, ModelFileSet, ModelLocation } from './open-source.js';
export type { AstFeatureExtractor } from './processors/ast.js';
export type { ClapFeatureExtractor } from './processors/clap.js';
export { decodeAudio } from './processors/decode-audio.js';
export { decodeImage } from './processors/decode-image.js';
export type { Features } from './processors/features.js';
export type { ParakeetFeatureExtractor, SeamlessM4TFeatureExtractor } from './processors/filter-banks.js';
export type { ImageBytes, ImageProcessor } from './processors/image.js';
export type { ImageTextProcessor, PromptPiece, ReadyImage } from './processors/image-text/image-text-processor.js';
export type { Processor } from './processors/load-processor.js';
export { resample } from './processors/resample.js';
export { mixDown, type Recording, readWav } from './processors/wav.js';
export type { Wav2Vec2FeatureExtractor } from './processors/wav2vec2.js';
export type { WhisperFeatureExtractor } from './processors/whisper.js';
export type { OnWarning, WarningCode } from './warnings.js';
