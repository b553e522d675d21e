export type { FeatureExtraction, FeatureExtractionOptions, Pooling } from './feature-extraction.js';
export { HostTensor, type NestedArray } from './host-tensor.js';
export { type Pipeline, type PipelineOptions, type PipelineProgress, pipeline } from './pipeline.js';
export type { CallOf, TaskName } from './registry.js';
export type { CallOptions, TaskProgress } from './task.js';
