export type { FeatureDraft, GenerateOptions } from '../generate/generate-options.js';
export type { DetectionTarget, ForwardOptions, ModelInputs, ModelOutput, Rows } from '../models/inputs.js';
export type { Adapter, AdapterChoice } from '../models/pretrained-model.js';
export { type HeadKind, PretrainedModel } from '../models/pretrained-model.js';
export type { GgufFileType } from './gguf/file-types.js';
export type { SaveGgufOptions } from './gguf/save-gguf.js';
export type { DownloadProgress, HubOptions } from './hub-options.js';
export {
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  loadTokenizer,
  type ModelFor,
  saveGguf,
  type TextModel,
} from './load-later.js';
export { loadPredictor, type PredictorOptions } from './load-predictor-later.js';
export type { OnnxChoice } from './onnx/files.js';
export type { FileContent, ModelFileSet, ModelLocation } from './open-source.js';
export { decodeAudio } from './processors/decode-audio.js';
export { decodeImage } from './processors/decode-image.js';
export type { RawImage } from './processors/image.js';
export type { Processor } from './processors/load-processor.js';
export { resample } from './processors/resample.js';
export { mixDown, type Recording, readWav } from './processors/wav.js';
export type { OnWarning, WarningCode } from './warnings.js';
