export { accuracy, type F1Options, f1, type Label, matthews, type Scores } from './classification.js';
export { meanSquaredError, pearson, spearman } from './correlation.js';
