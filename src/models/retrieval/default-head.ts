import { ArgumentError } from '../../core/errors.js';
import { Pooling } from './modules/pooling.js';
import { SpladePooling } from './modules/splade-pooling.js';
import { Transformer } from './modules/transformer.js';
import type { TextReader } from './reader.js';
import { SentenceHead } from './sentence-head.js';

const defaults = new WeakMap<TextReader, SentenceHead>();

/**
 * The modules of a model, or the defaults of sentence-transformers for a model without any. These are the mean of
 * tokens, the last token of a language model, SPLADE for a masked one, or the vectors that CLIP compares. Throws
 * ArgumentError for a model with another head.
 */
export async function headOf(model: TextReader): Promise<SentenceHead> {
  const known = model.sentenceHead ?? defaults.get(model);
  if (known) return known;
  const pooling = model.textVectors ? [] : [defaultPooling(model)];
  const head = new SentenceHead([new Transformer(model), ...pooling]);
  defaults.set(model, head);
  return head;
}

function defaultPooling(model: TextReader): Pooling | SpladePooling {
  const { headKind, config, encoder } = model;
  if (headKind === 'masked-language-model') return new SpladePooling();
  if (headKind !== 'none')
    throw new ArgumentError(
      `encode: the model has the head '${headKind}': load it with head: 'none' for vectors of texts`,
    );
  const [name] = Array.isArray(config.architectures) ? config.architectures : [];
  const isWriter = encoder === null && `${name}`.endsWith('ForCausalLM') && config.is_causal !== false;
  return new Pooling([isWriter ? 'lasttoken' : 'mean']);
}
