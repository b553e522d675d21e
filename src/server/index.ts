export type { AnswerPhases } from './endpoint.js';
export type { ErrorBody, ErrorStatus } from './errors.js';
export { ApiError } from './errors.js';
export type { ManagedModel } from './managed-model.js';
export { type OpenAIApp, type OpenAIOptions, openai } from './openai.js';
export type { NodeBindings, RequestEntry } from './requests.js';
export { type RunningServer, type ServeOptions, serve } from './serve.js';
export type { ServedTextModel } from './served-model.js';
