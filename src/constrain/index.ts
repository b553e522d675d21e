export type { ResponseFormat } from '../generate/response-format.js';
export { type ConstrainOptions, constrain } from './constraint.js';
export { NoRoomError, ResponseFormatError } from './format-error.js';
