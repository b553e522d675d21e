export { classify, evaluateClassification } from './evaluate-classification.js';
export { loadAdapted } from './load-adapted.js';
export { loadLora } from './load-lora.js';
export { Lora, type LoraOptions, lora } from './lora.js';
export { ModelObjective, type ModelObjectiveOptions } from './model-objective.js';
export { type FileRow, readRows } from './read-rows.js';
export { type ClassificationRow, type ProblemType, SequenceClassification } from './sequence-classification.js';
