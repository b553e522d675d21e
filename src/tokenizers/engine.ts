// What reads a tokenizer.json of others: loaded when it is first needed.

export { Tokenizer as HuggingFace } from '@huggingface/tokenizers';
export { checkTokenizerJson } from './check-json.js';
export { mended, rewritten } from './rewritten.js';
