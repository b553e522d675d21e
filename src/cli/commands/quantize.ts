import { Command, Option } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { PretrainedModel } from '../../models/pretrained-model.js';
import { quantize } from '../../models/quantize.js';
import { fileTypes, type GgufFileType } from '../../pretrained/gguf/file-types.js';
import { type LoadedModel, loadModel, saveGguf } from '../../pretrained/index.js';
import { openDevice } from '../common.js';

type FolderType = 'float16' | 'bfloat16' | 'int8' | 'int4';

const ofFiles: readonly string[] = Object.keys(fileTypes);
const ofFolders: readonly string[] = ['float16', 'bfloat16', 'int8', 'int4'] satisfies FolderType[];

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('write a model in fewer bits: a language model as a GGUF file, or any model as a folder')
    .argument('<model>', 'folder, GGUF file, or id on the hub')
    .argument('<out>', 'the GGUF file to write, which ends in .gguf, or the folder')
    .addOption(
      new Option(
        '--type <type>',
        `type of matrices: ${ofFiles.join(', ')} in a file (default: q8_0), ${ofFolders.join(', ')} in a folder (default: int8)`,
      ).choices([...ofFiles, ...ofFolders]),
    )
    .action(async (name: string, out: string, options: { type?: string }, command: Command) => {
      const isFile = out.endsWith('.gguf');
      const type = options.type ?? (isFile ? 'q8_0' : 'int8');
      const [own, what] = isFile ? [ofFiles, 'a GGUF file'] : [ofFolders, 'a folder'];
      if (!own.includes(type)) throw new ArgumentError(`${type} is no type of ${what}: expected ${own.join(', ')}`);
      using device = await openDevice(command);
      if (!isFile) {
        const model = await packedModel(device, name, type as FolderType);
        await model.save(out); // while the device is there
        return;
      }
      const model: unknown = await loadModel(device, name, { weights: 'auto' }); // what is packed so already stays so
      if (!(model instanceof PretrainedModel))
        throw new ArgumentError(`'${name}' is a Transformer of this package: GGUF files have no place for it`);
      for (const adapter of model.adapters.values()) adapter.merge();
      await saveGguf(model, out, { type: type as GgufFileType });
    });
}

/** A model with packed weights. Those of an adapter's base are packed once the adapter is part of them. */
async function packedModel(device: Device, name: string, weights: FolderType): Promise<LoadedModel> {
  const model = await loadModel<LoadedModel>(device, name, { weights });
  if (!(model instanceof PretrainedModel) || model.adapters.size === 0) return model;
  model.dispose();
  const floats = await loadModel<LoadedModel>(device, name, { weights: 'float32' });
  for (const adapter of floats.adapters.values()) adapter.merge();
  return quantize(floats, { weights });
}
