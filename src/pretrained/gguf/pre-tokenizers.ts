// The rules by which byte-level tokenizers split text into words before they merge bytes, by the names of
// `tokenizer.ggml.pre`. Each pattern splits the pieces of the previous one into matches and the text between them.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';

export interface PreTokenizer {
  readonly patterns: readonly string[];
  /** True if a word that is a token is used directly, without merging its bytes. */
  readonly wholeWords?: boolean;
  /** True if texts begin with the begin token, unless the file says otherwise. */
  readonly addBos?: boolean;
}

const contraction = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const word = '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+';
const space = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const punctuation = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*';

/** The rule of GPT-2, and the rules since GPT-4: limited runs of digits, and words with a preceding character. */
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const modern = (digits: string) => `${contraction}|${word}|${digits}|${punctuation}|${space}`;
/** Characters that may stand in capital and in lower-case parts of a word. */
type Cases = readonly [upper: string, lower: string];
const ascii = (letter: string): Cases => [`(?:(?=${letter})[^a-z])`, `(?:(?=${letter})[^A-Z])`];
const categories: Cases = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'];

/** Returns a rule that begins a word where lower-case letters are followed by capitals. */
const cased = (ending: string, digits: string, [upper, lower] = ascii('\\p{L}')) => {
  const before = '[^\\r\\n\\p{L}\\p{N}]?';
  const words = `${before}${upper}*${lower}+${ending}|${before}${upper}+${lower}*${ending}`;
  return `${words}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${space}`;
};

const llama3: PreTokenizer = { patterns: [modern('\\p{N}{1,3}')], wholeWords: true, addBos: true };
const plain: PreTokenizer = { patterns: [gpt2] };
const digitByDigit: PreTokenizer = { patterns: ['\\p{N}', gpt2] };
const qwen2: PreTokenizer = { patterns: [modern('\\p{N}')] };
const inThrees: PreTokenizer = { patterns: [modern('\\p{N}{1,3}')] };
const gpt4o: PreTokenizer = { patterns: [cased(`${contraction}?`, '\\p{N}{1,3}')] };
const deepseek3: PreTokenizer = {
  patterns: [
    '\\p{N}{1,3}',
    '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+',
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
  ],
};

/** Groups of three digits, counted from the end of the number. */
const thousands = '\\d{1,3}(?=(?:\\d{3})*\\b)';

/** Words of BLOOM: anything but spaces and common punctuation. */
const WORDS = ' ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+';

const EASTERN = '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+';

const known: Readonly<Record<string, PreTokenizer>> = {
  default: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', gpt2, '\\p{N}+', '[0-9][0-9][0-9]'] },
  ...named(llama3, ['llama3', 'llama-v3', 'llama-bpe', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2']),
  ...named(llama3, ['jina-v5-nano']),
  ...named({ patterns: [WORDS] }, ['bloom', 'poro-chat', 'gpt3-finnish']),
  viking: { patterns: [WORDS, '\\p{N}'] },
  ...named(inThrees, ['dbrx', 'smaug-bpe', 'chatglm-bpe']),
  ...named({ ...inThrees, wholeWords: true }, ['glm4']),
  ...named(plain, ['gpt-2', 'phi-2', 'mpt', 'olmo', 'jais', 'trillion', 'exaone4', 'a.x-4.0', 'mellum', 'modern-bert']),
  ...named(plain, [
    'jina-es',
    'jina-de',
    'jina-v2-es',
    'jina-v2-de',
    'jina-v1-en',
    'jina-v2-code',
    'roberta-bpe',
    'gigachat',
    'granite-docling',
  ]),
  ...named(digitByDigit, [
    'smollm',
    'starcoder',
    'refact',
    'command-r',
    'codeshell',
    'exaone',
    'minerva-7b',
    'mellum2',
  ]),
  ...named(qwen2, [
    'qwen2',
    'f2llmv2',
    'deepseek-r1-qwen',
    'stablelm2',
    'hunyuan',
    'megrez',
    'grok-2',
    'kormo',
    'solar-open',
  ]),
  ...named(gpt4o, ['gpt-4o', 'llama4', 'kanana2', 'minimax-m2', 'talkie']),
  'granite-embed-multi-97m': {
    patterns: [cased(`${contraction}?`, '\\p{N}{1,3}', ascii('[\\p{L}\\p{M}]'))],
    wholeWords: true,
  },
  ...named({ patterns: [thousands, cased(`${contraction}?`, '\\p{N}{1,3}', categories)] }, ['tiny_aya', 'cohere2moe']),
  superbpe: { patterns: ['\\p{N}+', '\\d{1,3}(?=(?:\\d{3})*(?!\\d))'] },
  minicpm5: { patterns: ['\\p{N}{1,3}', modern('\\p{N}+')], wholeWords: true },
  ufakzeka: { patterns: [`${word}|\\p{N}|${punctuation}|${space}`] },
  ...named(deepseek3, ['deepseek-v3', 'hunyuan-dense', 'joyai-llm']),
  falcon: { patterns: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', gpt2, '[0-9][0-9][0-9]'] },
  tekken: { patterns: [cased('', '\\p{N}')], wholeWords: true, addBos: true },
  'deepseek-coder': { patterns: ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', EASTERN, '\\p{N}'] },
  'deepseek-llm': {
    patterns: [
      '[\\r\\n]',
      '\\s?[\\p{Lu}\\p{Ll}\\p{Lt}]+',
      '\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+',
      '\\s+$',
      EASTERN,
      '\\p{N}+',
    ],
  },
  qwen35: {
    patterns: [
      `${contraction}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${space}`,
    ],
  },
  'seed-coder': { patterns: [`${contraction}|${word}|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${space}`] },
};

function named(kind: PreTokenizer, names: readonly string[]): Record<string, PreTokenizer> {
  return Object.fromEntries(names.map((name) => [name, kind]));
}

/** Throws FormatError for an unknown name. */
export function preTokenizerNamed(name: string): PreTokenizer {
  if (Object.hasOwn(known, name)) return known[name] as PreTokenizer;
  const names = Object.keys(known).join(', ');
  throw new FormatError(`tokenizer.ggml.pre is ${describeValue(name)}, expected one of ${names}`);
}
