export type { ProblemType } from '../models/prediction-head.js';
export { loadLora } from '../pretrained/peft/load-lora.js';
export { Lora, lora } from '../pretrained/peft/lora.js';
export type { LoraOptions, LoraSettings, SaveLoraOptions } from '../pretrained/peft/lora-options.js';
export { CausalLanguageModel, type CausalRow, encodeChat } from './causal-language-model.js';
export { Distillation, type DistillationOptions } from './distillation.js';
export type { EncodedTexts } from './embedding.js';
export { type EmbeddingObjectiveOptions, type EmbeddingRow, Embeddings, embedTexts } from './embedding.js';
export type { EncodedText } from './encoded.js';
export { classify, evaluateClassification } from './evaluate-classification.js';
export {
  type EvaluationOptions,
  evaluateCausal,
  evaluateEmbeddings,
  evaluateMasked,
  evaluateSequenceToSequence,
  evaluateTokens,
} from './evaluate-tokens.js';
export {
  type AnswerScores,
  contrastiveLoss,
  cosineLoss,
  distillationLoss,
  dpoLoss,
  inBatchNegatives,
  rankedCosineLoss,
  type TripletOptions,
  tripletLoss,
} from './losses.js';
export { ModelObjective, type ModelObjectiveOptions } from './model-objective.js';
export type { EncodedAnswers } from './preference.js';
export { Preference, type PreferenceOptions, type PreferenceRow } from './preference.js';
export { type FileRow, type ReadRowsOptions, readRows, rowLocation } from './read-rows.js';
export type { ColumnNames } from './row-columns.js';
export type { EncodedExample } from './sequence-classification.js';
export { type ClassificationRow, SequenceClassification } from './sequence-classification.js';
export type { EncodedPair } from './sequence-to-sequence.js';
export { type Seq2SeqRow, SequenceToSequence } from './sequence-to-sequence.js';
export type { LabelledTokens, TokenObjective } from './token-objective.js';
export {
  MaskedLanguageModel,
  type MaskingOptions,
  TokenClassification,
  type TokenClassificationRow,
} from './token-objectives.js';
