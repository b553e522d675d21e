export type { BulkTask } from './bulk-task.js';
export { type Collected, type CollectOptions, collect } from './collect.js';
export { type CreateWorkerOptions, createWorker, type JobData } from './create-worker.js';
export { jobId } from './job-ids.js';
export { type PipelineLike, pipelineTask } from './pipeline-task.js';
export { type QueueOptions, type SubmitOptions, submit } from './submit.js';
export { type GeneratedOutput, transformerTask } from './transformer-task.js';
