export { Chat } from './chat.js';
export {
  type ChatAnswer,
  type ChatGenerateOptions,
  type ChatModel,
  type ChatOptions,
  ContextFullError,
} from './chat-options.js';
export { type ReasonedPiece, ReasoningFilter } from './reasoning.js';
export type { SavedChat } from './saved-chat.js';
export { StopStrings } from './stop-strings.js';
export { TextStream } from './text-stream.js';
export { type ParsedAnswer, parseToolCalls, type ToolCall } from './tool-calls.js';
