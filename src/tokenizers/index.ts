export { type BpeOptions, BpeTokenizer, type Merge } from './bpe.js';
export { ByteTokenizer } from './byte.js';
export { CharTokenizer } from './char.js';
export { loadTokenizer, type TokenizerConfig } from './huggingface.js';
export type { TokenizerJson } from './json.js';
export type { SpecialTokens } from './special.js';
export { type Tokenizer, UnknownTokenError } from './tokenizer.js';
export { type VocabularyOptions, VocabularyTokenizer } from './vocabulary.js';
export { type WordSplit, WordTokenizer } from './word.js';
