// What reads a tokenizer.json of others: loaded when it is first needed.

export { Tokenizer as HuggingFace } from '@huggingface/tokenizers';
export { encodeBatch } from './batch-encoding.js';
export { bytePairsOf, useBytePairs, withoutTables } from './byte-pairs.js';
export { checkTokenizerJson } from './check-json.js';
export { traceTokens } from './offsets.js';
export { mended, rewritten } from './rewritten.js';
export { templateOf } from './template.js';
export { trimmer } from './trimmed-offsets.js';
