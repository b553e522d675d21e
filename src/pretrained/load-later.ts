// Loads the code that loads models at the first call, so that pages without models need not download it.

import { isObject } from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Json } from '../models/model-config.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { parseTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerConfig } from '../tokenizers/json.js';
import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import type { SaveGgufOptions } from './gguf/save-gguf.js';
import type { HubOptions } from './hub-options.js';
import type { LoadedModel, LoadModelOptions, ModelFor, TextModel } from './load-model.js';
import type { NewModelOptions } from './new-model.js';
import type { ModelLocation } from './open-source.js';

export type { LoadedModel, LoadModelOptions, ModelFor, TextModel } from './load-model.js';
export type { NewModelOptions } from './new-model.js';

/**
 * Loads a pretrained model from a folder, a hub id, files by name (for example dropped on a page), or a GGUF file. A
 * GGUF file is given as a path, URL, Blob or Response. The model is in evaluation mode. Its parameters are valid until
 * `dispose()`.
 *
 * `tokenizer` is null if the folder has none, as for most image models; see `loadTextModel`. From a folder of
 * `Transformer.save` it loads that model: `loadModel<Transformer>(device, folder)`.
 *
 * Throws FormatError, naming the file, if something is missing, damaged or of an unknown family. Throws FetchError if
 * the hub or the network fails, OutOfMemoryError, and ArgumentError for invalid options.
 */
export async function loadModel<Model = LoadedModel>(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions = {},
): Promise<ModelFor<Model>> {
  const loader = await import('./load-model.js');
  return loader.loadModel<Model>(device, from, options);
}

/**
 * Loads a model as `loadModel` does, and demands a tokenizer.
 *
 * ```ts
 * const model = await loadTextModel(device, 'HuggingFaceTB/SmolLM2-135M');
 * const prompt = model.tokenizer.encode('Gravity is');
 * ```
 *
 * Throws the errors of `loadModel`, and FormatError if the model has no tokenizer.
 */
export async function loadTextModel(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions = {},
): Promise<TextModel> {
  const loader = await import('./load-model.js');
  return loader.loadTextModel(device, from, options);
}

/**
 * Makes a model with random weights, in training mode. `config` is the content of a config.json: it has a
 * `model_type`, sizes, and the class of the model in `architectures`, unless `head` is given. `save` writes a folder that
 * `loadModel` and transformers read.
 *
 * ```ts
 * const config = { model_type: 'vit', num_hidden_layers: 2, id2label: { 0: 'cat', 1: 'dog' } };
 * const model = await newModel(device, config, { head: 'image-classification', seed: 1 });
 * ```
 *
 * Throws FormatError, naming the setting, for a config that is not supported, and ArgumentError for invalid options.
 */
export async function newModel(device: Device, config: Json, options: NewModelOptions = {}): Promise<PretrainedModel> {
  const maker = await import('./new-model.js');
  return maker.newModel(device, config, options);
}

/**
 * Loads only a tokenizer: from a folder, a hub id, files by name, or a GGUF file, as `loadModel` does.
 *
 * ```ts
 * const tokenizer = await loadTokenizer('sentence-transformers/all-MiniLM-L6-v2');
 * ```
 *
 * The text of a tokenizer.json, or the parsed object, is also accepted; `options` is then the object of
 * tokenizer_config.json. Throws FormatError, naming the file, for a missing or damaged tokenizer. Throws FetchError if
 * the hub or the network fails, and ArgumentError for invalid options.
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
 * Writes a language model of a family that docs/gguf.md lists, with its tokenizer, to a GGUF file that llama.cpp and
 * transformers read. An existing file is replaced only if writing succeeds. Needs Node, Deno or Bun.
 *
 * ```ts
 * await saveGguf(model, 'model.gguf', { type: 'q8_0' });
 * ```
 *
 * Throws ArgumentError for a model or a tokenizer that the format cannot describe, and the file system's errors.
 */
export async function saveGguf(
  model: PretrainedModel,
  path: string | URL,
  options: SaveGgufOptions = {},
): Promise<void> {
  const writer = await import('./gguf/save-gguf.js');
  return writer.saveGguf(model, path, options);
}
