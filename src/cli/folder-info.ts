// Information on a folder in the layout of Hugging Face, from headers only.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors } from '../io/file.js';
import { printJson } from './common.js';
import { readJson } from './data.js';
import { isAdapterFolder } from './pretrained-folder.js';

/** Prints the architecture, the sizes of weights per type, the tokenizer and the chat template. Throws FormatError. */
export async function printFolder(folder: string, isJson: boolean): Promise<void> {
  const types = new Map<string, { tensors: number; bytes: number }>();
  let bytes = 0;
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.safetensors'))) {
    const file = await openSafetensors(join(folder, name));
    for (const { dtype, byteLength } of file.tensors.values()) {
      const sum = types.get(dtype) ?? { tensors: 0, bytes: 0 };
      types.set(dtype, { tensors: sum.tensors + 1, bytes: sum.bytes + byteLength });
      bytes += byteLength;
    }
    file.close();
  }
  const config = await read(join(folder, 'config.json'));
  const adapter = isAdapterFolder(folder) ? await adapterInfo(folder) : null;
  const packed = (config.quantization_config as { formats?: unknown } | undefined)?.formats ?? null;
  const { chat_template: template } = await read(join(folder, 'tokenizer_config.json'));
  const chatTemplate = existsSync(join(folder, 'chat_template.jinja')) || template !== undefined;
  const tokenizer = existsSync(join(folder, 'tokenizer.json'));
  if (isJson) {
    const { model_type: type, architectures } = config;
    const what = adapter === null ? { type, architectures } : { adapter };
    return printJson({ ...what, bytes, types: Object.fromEntries(types), packed, tokenizer, chatTemplate });
  }
  if (adapter !== null) {
    const { kind, base, r, alpha, targets, modulesToSave } = adapter;
    console.log(`adapter          ${kind}, r ${r}, alpha ${alpha}`);
    console.log(`base             ${base}`);
    console.log(`targets          ${targets.join(', ')}`);
    if (modulesToSave.length > 0) console.log(`saved whole      ${modulesToSave.join(', ')}`);
  } else
    console.log(
      `architecture     ${config.model_type}, ${[config.architectures ?? []].flat().join(', ') || 'no head'}`,
    );
  console.log(`weights          ${(bytes / 2 ** 20).toFixed(1)} MiB`);
  for (const [dtype, { tensors, bytes: of }] of types)
    console.log(`${dtype.padEnd(16)} ${tensors.toLocaleString('en')} tensors, ${(of / 2 ** 20).toFixed(1)} MiB`);
  if (Array.isArray(packed)) console.log(`packed as        ${packed.join(', ')}`);
  console.log(`tokenizer        ${tokenizer ? 'yes' : 'no'}`);
  console.log(`chat template    ${chatTemplate ? 'yes' : 'none'}`);
}

/** The content of adapter_config.json. */
async function adapterInfo(folder: string) {
  const config = await read(join(folder, 'adapter_config.json'));
  return {
    kind: `${config.peft_type}`,
    base: `${config.base_model_name_or_path}`,
    r: config.r,
    alpha: config.lora_alpha,
    targets: [config.target_modules ?? []].flat().map(String),
    modulesToSave: [config.modules_to_save ?? []].flat().map(String),
  };
}

/** Reads a JSON object. Returns an empty one if the file is missing. */
async function read(path: string): Promise<Readonly<Record<string, unknown>>> {
  return existsSync(path) ? Object(await readJson(path)) : {};
}
