export { type ConstrainOptions, constrain } from './constraint.js';
export type { ResponseFormat } from './response-format.js';
