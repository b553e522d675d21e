export { type BleuOptions, type BleuScore, bleu } from './bleu.js';
export { type ChrfOptions, chrf } from './chrf.js';
export { accuracy, type F1Options, f1, type Label, matthews, type Scores } from './classification.js';
export { meanSquaredError, pearson, spearman } from './correlation.js';
export {
  type DetectedBox,
  type DetectedObject,
  type DetectionScores,
  detectionScores,
  type LabelledBox,
} from './detection.js';
export { entityScores } from './entities.js';
export { editDistance, perplexity, wer } from './word-error-rate.js';
