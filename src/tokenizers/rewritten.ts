// The engine that reads a tokenizer.json (`@huggingface/tokenizers`) does not do what some parts say, and gives other ids
// than Hugging Face's `tokenizers` without a word. Here these parts become others of the same meaning, which it does right.
// What has no such form is refused.

import { FormatError } from '../core/errors.js';
import { findAddedTokens } from './added-tokens.js';
import { BYTE_NAMES } from './byte-level.js';
import type { BytePairs } from './byte-pairs.js';
import { charsmapNormalizer } from './charsmap.js';
import { mendDecoder } from './decoders.js';
import type { Engine } from './engine-parts.js';
import { scoredTokensOf, type TokenizerJson, type TokenizerModel, typeOf } from './json.js';
import { type Part, refuse, sequence } from './part.js';
import { rewritePreTokenizer } from './rewritten-splits.js';

/** The ideographs that the engine does not see as such, as it looks at halves of surrogate pairs. */
const IDEOGRAPH = '[\\x{20000}-\\x{2A6DF}\\x{2A700}-\\x{2B81F}\\x{2B920}-\\x{2CEAF}\\x{2F800}-\\x{2FA1F}]';

/** JavaScript has another lower case for it at the end of words; Rust's `tokenizers` looks at each character alone. */
const LOWER_SIGMA = replaced('Σ', 'σ');

/** What the engine is given for `json`. Throws FormatError if nothing would give the ids that it stands for. */
export function rewritten(json: TokenizerJson, pairs: BytePairs | null): TokenizerJson {
  checkProcessors(json.post_processor);
  return {
    ...json,
    // An unk_id that is undefined would make the first character's token that of unknown text.
    model: pairs ? json.model : { ...json.model, type: typeOf(json.model), unk_id: json.model.unk_id ?? null },
    // Without one, the engine would look for all added tokens at once.
    normalizer: rewriteEach(json.normalizer ?? sequence('normalizers'), 'normalizers', rewriteNormalizer),
    pre_tokenizer: rewriteEach(json.pre_tokenizer, 'pretokenizers', rewritePreTokenizer),
    post_processor: rewriteEach(json.post_processor, 'processors', (part) => rewriteProcessor(part, json, pairs)),
    decoder: rewriteEach(json.decoder, 'decoders', rewriteDecoder),
  };
}

/** What comes after a template gets its pieces one by one, and would put tokens around each of them. */
function checkProcessors(processor: unknown): void {
  const types = ((processor as Part | null)?.processors as Part[] | undefined)?.map((part) => part?.type) ?? [];
  const template = types.indexOf('TemplateProcessing');
  const after = types.slice(template + 1).find((type) => type !== 'ByteLevel');
  if (template >= 0 && after !== undefined) refuse(`a ${after} after a template in its post_processor`);
}

/**
 * What no other form of the file would mend: text without a token is one token in each piece that the pre-tokenizer
 * makes, not across them; in Unigram models the name of the unknown token is text with a score of its own; and where such
 * a model says so, text without a token is bytes, which the engine does in BPE models only.
 */
export function mended(engine: Engine, { added_tokens, model: file }: TokenizerJson, pairs: BytePairs | null): Engine {
  const { model, added_tokens_map, decoder } = engine;
  const { unk_id, byte_fallback } = file;
  const scored = scoredTokensOf(file);
  findAddedTokens(engine, added_tokens, ownTokens(file, pairs));
  const unknown = scored?.[unk_id ?? -1];
  if (unknown !== undefined) model.scores[unk_id as number] = unknown[1];
  // As arguments of a call, which it makes of them, the tokens of a long piece are too many.
  if (scored !== null) model.encode = (pieces) => pieces.flatMap((piece) => model.tokenize(piece));
  const isKnown = (token: string) => model.tokens_to_ids.has(token);
  const withoutToken = (text: string) => {
    const bytes = byte_fallback && scored !== null ? bytesOf(text) : [];
    if (bytes.length > 0 && bytes.every(isKnown)) return bytes;
    return added_tokens_map.has(text) ? `\0${text}` : text; // not the added one that is written like it
  };
  const findTokens = model._call.bind(model);
  model._call = (pieces) =>
    pieces.flatMap((piece) => findTokens([piece])).flatMap((token) => (isKnown(token) ? token : withoutToken(token)));
  if (decoder !== null) mendDecoder(decoder);
  return engine;
}

/** What tells tokens of the model from those that were added to it. */
function ownTokens(file: TokenizerModel, pairs: BytePairs | null): (token: string) => boolean {
  if (pairs !== null) return (token) => token === file.unk_token || pairs.ids.has(token);
  const scored = scoredTokensOf(file);
  const own = new Set(scored ? scored.map(([token]) => token) : [...Object.keys(file.vocab), file.unk_token]);
  return (token) => own.has(token);
}

const bytesOf = (text: string) =>
  Array.from(new TextEncoder().encode(text), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

type Rewrite = (part: Part, place: number) => Part;

/**
 * The part itself, or those of a sequence, each rewritten for its place among all; `list` is the name that its kind of
 * sequence has for them.
 */
function rewriteEach(part: unknown, list: string, rewrite: Rewrite, place = 0): unknown {
  if (typeof part !== 'object' || part === null) return part ?? null; // the engine asks for all of them
  const { type, [list]: parts } = part as Part;
  if (type !== 'Sequence') return rewrite(part as Part, place);
  if (!Array.isArray(parts)) return part;
  const odd = parts.find((each) => typeof each !== 'object' || each === null);
  if (odd !== undefined)
    throw new FormatError(`this tokenizer.json has ${JSON.stringify(odd)} among its ${list}, expected an object`);
  return sequence(list, ...parts.map((each, at) => rewriteEach(each, list, rewrite, place + at)));
}

function rewriteNormalizer(part: Part): Part {
  switch (part.type) {
    case 'Replace':
      return { ...part, content: literal(part.content) };
    case 'Prepend': // not to nothing
      return replaced('\\A(?=[\\s\\S])', literal(part.prepend) as string);
    case 'Lowercase':
      return sequence('normalizers', LOWER_SIGMA, part);
    case 'BertNormalizer': {
      const ideographs = part.handle_chinese_chars ? [replaced(IDEOGRAPH, ' $& ')] : [];
      return sequence('normalizers', ...ideographs, ...(part.lowercase ? [LOWER_SIGMA] : []), part);
    }
    case 'Strip': {
      const ends = [...(part.strip_left ? ['\\A\\s+'] : []), ...(part.strip_right ? ['(?<!\\s)\\s+\\z'] : [])];
      return ends.length === 0 ? part : replaced(ends.join('|'), '');
    }
    case 'Nmt':
      return sequence(
        'normalizers',
        replaced('[\\u0001-\\u0008\\u000b\\u000e-\\u001f\\u007f\\u008f\\u009f]', ''),
        replaced('[\\t\\n\\f\\r\\u1680\\u200b-\\u200f\\u2028\\u2029\\u2581\\ufeff\\ufffd]', ' '),
      );
    case 'ByteLevel':
      return replaced('[\\s\\S]+', (text) =>
        Array.from(new TextEncoder().encode(text), (byte) => BYTE_NAMES[byte]).join(''),
      );
    case 'Precompiled': // some converted files have no map; for these the engine does what most maps do
      return part.precompiled_charsmap
        ? replaced('[\\s\\S]+', charsmapNormalizer(part.precompiled_charsmap as string))
        : part;
    default:
      return part;
  }
}

/** Tokens around the text by their ids, each a name in the vocabulary: the engine goes by the names alone. */
function rewriteProcessor(part: Part, { added_tokens, model }: TokenizerJson, pairs: BytePairs | null): Part {
  const ownToken = (id: number): string | undefined => {
    if (pairs !== null) return pairs.tokenOf(id);
    const scored = scoredTokensOf(model);
    return scored ? scored[id]?.[0] : Object.entries(model.vocab).find((entry) => entry[1] === id)?.[0];
  };
  const place = part.type === 'TemplateProcessing' ? 'template' : part.type;
  const tokenOf = (id: number, name: string): string =>
    added_tokens.find((token) => token.id === id)?.content ??
    ownToken(id) ??
    refuse(`the id ${JSON.stringify(id)} for ${name} in its ${place}, which is no token's`);
  if (part.type === 'BertProcessing' || part.type === 'RobertaProcessing') {
    const [cls, sep] = [part.cls, part.sep].map((pair) => {
      const [name, id] = pair as [string, number];
      return [tokenOf(id, name), id];
    });
    return { ...part, cls, sep };
  }
  if (part.type !== 'TemplateProcessing') return part;
  const tokens = part.special_tokens as Record<string, { ids?: unknown } | undefined> | undefined;
  const single = (part.single as { SpecialToken?: { id: string } }[]).flatMap((piece) => {
    const name = piece.SpecialToken?.id;
    const ids = name === undefined ? undefined : tokens?.[name]?.ids;
    if (name === undefined || !Array.isArray(ids)) return [piece];
    return ids.map((id) => ({ SpecialToken: { ...piece.SpecialToken, id: tokenOf(id, name) } }));
  });
  return { ...part, single };
}

function rewriteDecoder(part: Part): Part {
  return part.type === 'Replace' ? { ...part, content: literal(part.content) } : part;
}

/** The engine passes the content on to `replaceAll`, which takes functions, and `$` for more than itself. */
function replaced(Regex: string, content: string | ((text: string) => string)): Part {
  return { type: 'Replace', pattern: { Regex }, content };
}

function literal(content: unknown): unknown {
  return typeof content === 'string' ? content.replaceAll('$', '$$$$') : content;
}
