import { existsSync, rmSync } from 'node:fs';
import { readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { PretrainedModel } from '../../models/pretrained-model.js';
import { quantize } from '../../models/quantize.js';
import { fileTypes, type GgufFileType } from '../../pretrained/gguf/file-types.js';
import { type LoadedModel, loadModel, saveGguf } from '../../pretrained/index.js';
import { openDevice } from '../common.js';
import { example } from '../help.js';
import { CHECKPOINT_FILE } from '../out-folder.js';
import { exiting } from '../stopping.js';

type FolderType = 'float16' | 'bfloat16' | 'int8' | 'int4';

const FILE_TYPES: readonly string[] = Object.keys(fileTypes);
const FOLDER_TYPES: readonly string[] = ['float16', 'bfloat16', 'int8', 'int4'] satisfies FolderType[];

interface QuantizeOptions {
  readonly type?: string;
  readonly allowLarger?: boolean;
}

const DEFAULT_TYPES = { file: 'q8_0', folder: 'int8' };

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('write a model in fewer bits: a language model as a GGUF file, or any model as a folder')
    .argument('<model>', 'folder, GGUF file or hub id')
    .argument('<out>', 'GGUF file to write, whose name ends in .gguf, or folder')
    .addOption(
      new Option(
        '--type <type>',
        `type of matrices: ${FILE_TYPES.join(', ')} in a file (default: ${DEFAULT_TYPES.file}), ${FOLDER_TYPES.join(', ')} in a folder (default: ${DEFAULT_TYPES.folder})`,
      ).choices([...FILE_TYPES, ...FOLDER_TYPES]),
    )
    .option('--allow-larger', 'write the result even if it is larger than the model')
    .addHelpText('after', example('quantize HuggingFaceTB/SmolLM2-135M model.gguf --type q4_0'))
    .action(run);
}

async function run(name: string, out: string, options: QuantizeOptions, command: Command): Promise<void> {
  const isFile = out.endsWith('.gguf');
  const type = options.type ?? (isFile ? DEFAULT_TYPES.file : DEFAULT_TYPES.folder);
  const [types, kind] = isFile ? [FILE_TYPES, 'a GGUF file'] : [FOLDER_TYPES, 'a folder'];
  if (!types.includes(type))
    throw new ArgumentError(`${type} is not a type of ${kind}, expected one of ${types.join(', ')}`);
  using device = await openDevice(command);
  using _exiting = exiting();
  const before = await sizeOf(name);
  const unfinished = `${out}.unfinished-${process.pid}`;
  const remove = () => rmSync(unfinished, { recursive: true, force: true });
  process.once('exit', remove); // if a signal ends the program
  try {
    const save = await (isFile ? fileWriter : folderWriter)(device, name, type);
    await save(unfinished);
    const after = (await sizeOf(unfinished)) as number;
    if (before !== undefined && after > before && !options.allowLarger) {
      throw new ArgumentError(
        `${out} would have ${megabytes(after)} as ${type}, more than the ${megabytes(before)} of ${name}: ` +
          'choose another --type, or add --allow-larger',
      );
    }
    if (isFile || !existsSync(out)) await rename(unfinished, out);
    else await save(out); // replaces the model there, but keeps other files
    console.log(`${out}: ${before === undefined ? '' : `${megabytes(before)} → `}${megabytes(after)} (${type})`);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** Loads a model and returns a function that writes it to a path. */
type Writer = (device: Device, name: string, type: string) => Promise<(path: string) => Promise<void>>;

const folderWriter: Writer = async (device, name, type) => {
  const model = await packedModel(device, name, type as FolderType);
  return (path) => model.save(path);
};

const fileWriter: Writer = async (device, name, type) => {
  const model: unknown = await loadModel(device, name, { weights: 'auto' }); // packed weights stay unchanged
  if (!(model instanceof PretrainedModel))
    throw new ArgumentError(
      `'${name}' is a Transformer of this package, which GGUF files cannot describe: choose another --type`,
    );
  for (const adapter of model.adapters.values()) adapter.merge();
  return (path) => saveGguf(model, path, { type: type as GgufFileType });
};

/** Loads a model with packed weights. An adapter is merged before the weights are packed. */
async function packedModel(device: Device, name: string, weights: FolderType): Promise<LoadedModel> {
  const model = await loadModel(device, name, { weights });
  if (!(model instanceof PretrainedModel) || model.adapters.size === 0) return model;
  model.dispose();
  const floats = await loadModel(device, name, { weights: 'float32' });
  for (const adapter of floats.adapters.values()) adapter.merge();
  return quantize(floats, { weights });
}

/**
 * Returns the bytes of the weights at a path: a file, or all weight files of a folder. Undefined for a hub id, and for
 * an adapter, because its base is elsewhere.
 */
async function sizeOf(path: string): Promise<number | undefined> {
  if (!existsSync(path)) return undefined;
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  const names = (await readdir(path)).filter((name) => /\.(safetensors|gguf|bin|onnx)$/.test(name));
  if (existsSync(join(path, 'adapter_config.json'))) return undefined;
  const weights = names.filter((name) => name !== CHECKPOINT_FILE);
  const sizes = await Promise.all(weights.map(async (name) => (await stat(join(path, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
