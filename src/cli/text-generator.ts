// The models of the command `run`: those of this package, and pretrained ones in a folder or a GGUF file.

import { existsSync } from 'node:fs';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Model } from '../models/model.js';
import { isHubId } from '../pretrained/hub.js';
import { type LoadModelOptions, loadModel as loadPretrained } from '../pretrained/index.js';
import { loadModel } from './common.js';
import { encodeData, encodeInput, tokenizersOf } from './encoding.js';
import { ggufAt } from './gguf-info.js';
import { isPretrainedFolder } from './pretrained-folder.js';

export interface TextGenerator {
  readonly model: Model;
  /** True if the output continues the input, as in decoder-only models. */
  readonly continuesInput: boolean;
  /** True if a text that exceeds the model's length continues from its last tokens, which are read for each new one. */
  readonly cropsContext: boolean;
  /** Throws ArgumentError, with `name` for the text, if the model cannot read it. */
  encode(text: string, name: string): number[];
  decode(ids: Iterable<number>): string;
}

/** True if a model is a GGUF file or a folder in the layout of Hugging Face. */
const isPretrained = (name: string) => ggufAt(name) !== null || isPretrainedFolder(name);

/** A hub id contains an organisation. Other names are those of model packages. */
const isOnHub = (name: string) => name.includes('/') && !existsSync(name) && isHubId(name);

export async function openGenerator(
  device: Device,
  name: string,
  weights: LoadModelOptions['weights'],
): Promise<TextGenerator> {
  if (isPretrained(name) || isOnHub(name)) return pretrainedGenerator(device, name, weights);
  if (weights !== undefined)
    throw new ArgumentError(`--weights is for pretrained models, but '${name}' is not one: omit it`);
  const expected = 'a folder, a hub id such as ORGANISATION/NAME, a GGUF file, or the name of a model package';
  const model = await loadModel(device, name, expected);
  const { target } = tokenizersOf(model);
  return {
    model,
    continuesInput: model.config.encoderLayers === 0,
    cropsContext: model.config.encoderLayers === 0,
    encode: (text, textName) => encodeInput(model, text, textName),
    decode: (ids) => target.decode(ids),
  };
}

async function pretrainedGenerator(
  device: Device,
  name: string,
  weights: LoadModelOptions['weights'],
): Promise<TextGenerator> {
  const model = await loadPretrained(device, ggufAt(name) ?? name, { weights });
  const { tokenizer } = model;
  if (model.decoder === null)
    throw new ArgumentError(`the model '${name}' has no decoder, expected a model that generates text`);
  if (tokenizer === null)
    throw new ArgumentError(`the model '${name}' has no tokenizer, expected a folder that contains one`);
  return {
    model,
    continuesInput: model.encoder === null,
    cropsContext: false, // reading thousands of tokens for each new one would take minutes
    encode: (text) => encodeData(tokenizer, text, { addSpecial: true }),
    decode: (ids) => tokenizer.decode(ids),
  };
}
