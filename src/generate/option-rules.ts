// The rules of all options of `generate`: those of the table, and those of options that are functions, tokens or
// objects.

import { anyOf, isObject, listOf, type OptionRule, orNull, ruleOf } from '../core/check.js';
import { CACHE_TYPES } from '../ops/kv-cache.js';
import { OPTION_ROWS, TOKENS } from './option-table.js';

const isModel = (value: unknown) => typeof (value as { startDecoding?: unknown } | null)?.startDecoding === 'function';
const isPredictor = (value: unknown) => typeof (value as { predicts?: unknown } | null)?.predicts === 'function';
const isText = (value: unknown) => isObject(value) && 'tokens' in value;
const isFormat = (value: unknown) => isObject(value) && FORMATS.some((name) => name in value);
const FORMATS = ['type', 'regex', 'choices', 'grammar'];

export const OPTION_RULES: Readonly<Record<string, OptionRule>> = {
  ...Object.fromEntries(OPTION_ROWS.map(([name, { rule }]) => [name, rule])),
  decoderStartTokenId: orNull('whole'),
  prefix: {
    accepts: (value) => TOKENS.accepts(value) || (Array.isArray(value) && value.every(TOKENS.accepts)),
    expected: 'tokens, or a row of tokens for each input',
  },
  stopTokens: TOKENS,
  stop: ruleOf('function'),
  logitsProcessors: listOf('function', 'an array of functions'),
  responseFormat: { accepts: isFormat, expected: `an object with one of ${FORMATS.join(', ')}` },
  cache: { accepts: isText, expected: 'a PromptCache' },
  cacheType: ruleOf(CACHE_TYPES),
  draft: anyOf(
    { accepts: (value) => value === 'prompt', expected: "'prompt'" },
    { accepts: isModel, expected: 'a model' },
    { accepts: isPredictor, expected: 'what loadPredictor returned' },
  ),
  signal: ruleOf('signal'),
  onToken: ruleOf('function'),
  onDraft: ruleOf('function'),
};
