// Loads the loader of models when it is first needed, so that pages without models do not pay for it.

import { isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Transformer } from '../models/families/transformer.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { parseTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerConfig } from '../tokenizers/json.js';
import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import type { SaveGgufOptions } from './gguf/save-gguf.js';
import type { HubOptions } from './hub-options.js';
import type { LoadedModel, LoadModelOptions, TextModel } from './load-model.js';
import type { ModelLocation } from './open-source.js';

export type { LoadedModel, LoadModelOptions, TextModel } from './load-model.js';

/**
 * Loads a model that others have trained: from a folder, from Hugging Face's hub by its id, from files by name, as
 * dropped on a page, or from a GGUF file: its path, its URL, a Blob of it or a server's Response. It is in evaluation mode; its parameters live until `dispose()`. A folder of `Transformer.save`
 * gives that Transformer: `loadModel<Transformer>(device, folder)`. The result's type has a tokenizer, which a folder
 * without one leaves null: `loadModel<LoadedModel>` says so, for models of images and of ids.
 *
 * Throws FormatError, naming the file, for what is missing, damaged or of a family that is not known; FetchError if the
 * hub or the network fails; OutOfMemoryError; ArgumentError for options that make no sense.
 */
export async function loadModel<Model extends LoadedModel | Transformer = TextModel>(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions = {},
): Promise<Model> {
  const loader = await import('./load-model.js');
  return loader.loadModel<Model>(device, from, options);
}

/**
 * Loads a tokenizer alone: of a folder, of a model on Hugging Face's hub by its id, of files by name, or of a GGUF file,
 * as `loadModel` does. Files of a tokenizer are read, and no weights.
 *
 * ```ts
 * const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2');
 * ```
 *
 * The text of a tokenizer.json, or the object it parses to, makes the tokenizer itself; `options` is then the object of
 * tokenizer_config.json. Throws FormatError, naming the file, for a tokenizer that is missing or damaged, FetchError if
 * the hub or the network fails, and ArgumentError for options that make no sense.
 */
export async function loadTokenizer(from: ModelLocation, options?: HubOptions): Promise<PretrainedTokenizer>;
export async function loadTokenizer(json: string | object, config?: TokenizerConfig): Promise<PretrainedTokenizer>;
export async function loadTokenizer(
  from: ModelLocation | object,
  options: HubOptions | TokenizerConfig = {},
): Promise<PretrainedTokenizer> {
  const isText = typeof from === 'string' && from.trimStart().startsWith('{');
  if (isText || (isObject(from) && ('model' in from || Object.keys(from).length === 0) && !(from instanceof Map)))
    return parseTokenizer(from, options as TokenizerConfig);
  const { openTokenizer } = await import('./open-tokenizer.js');
  return openTokenizer(from as ModelLocation, options as HubOptions);
}

/**
 * Writes a language model of the families llama, qwen2, qwen3, gemma or gpt2, with its tokenizer, to a GGUF file that
 * llama.cpp and transformers read. It replaces what was there, or nothing if it fails. Node, Deno and Bun.
 *
 * ```ts
 * await saveGguf(model, 'model.gguf', { type: 'q8_0' });
 * ```
 *
 * Throws ArgumentError for a model or a tokenizer that the format has no place for, and the file system's errors.
 */
export async function saveGguf(
  model: PretrainedModel,
  path: string | URL,
  options: SaveGgufOptions = {},
): Promise<void> {
  const writer = await import('./gguf/save-gguf.js');
  return writer.saveGguf(model, path, options);
}
