// What loads models, in a file of its own that a page gets when it loads one.

import type { Device } from '../core/device.js';
import type { Transformer } from '../models/transformer.js';
import type { LoadedModel, LoadModelOptions } from './load-model.js';
import type { ModelLocation } from './open-source.js';

export type { LoadedModel, LoadModelOptions } from './load-model.js';

/**
 * Loads a model that others have trained: from a folder, from Hugging Face's hub by its id, from files by name, as
 * dropped on a page, or from a GGUF file: its path, its URL, a Blob of it or a server's Response. It is in evaluation mode; its parameters live until `dispose()`. A folder of `Transformer.save`
 * gives that Transformer: `loadModel<Transformer>(device, folder)`.
 *
 * Throws FormatError, naming the file, for what is missing, damaged or of a family that is not known; FetchError if the
 * hub or the network fails; OutOfMemoryError; ArgumentError for options that make no sense.
 */
export async function loadModel<Model extends LoadedModel | Transformer = LoadedModel>(
  device: Device,
  from: ModelLocation,
  options: LoadModelOptions = {},
): Promise<Model> {
  const loader = await import('./load-model.js');
  return loader.loadModel<Model>(device, from, options);
}
