export type { BatchEncoding, EncodeBatchOptions } from './batch-encoding.js';
export { type BpeOptions, BpeTokenizer } from './bpe.js';
export type { Merge } from './bpe-trainer.js';
export { ByteTokenizer } from './byte.js';
export { CharTokenizer } from './char.js';
export type {
  ApplyChatTemplateOptions,
  ChatMessage,
  ChatTemplate,
  ChatTool,
  ChatToolCall,
  ChatTools,
} from './chat-template.js';
export { type PretrainedTokenizer, parseTokenizer } from './huggingface.js';
export type {
  ConfiguredToken,
  ScoredTokens,
  TokenizerConfig,
  TokenizerJson,
  TokenizerModel,
  TokenizerParts,
} from './json.js';
export type { SpecialTokens } from './special.js';
export { type Tokenizer, UnknownTokenError } from './tokenizer.js';
export { type VocabularyOptions, VocabularyTokenizer } from './vocabulary.js';
export { type WordSplit, WordTokenizer } from './word.js';
