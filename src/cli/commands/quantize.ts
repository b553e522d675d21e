import { Command, Option } from 'commander';
import { FormatError } from '../../core/errors.js';
import { PretrainedModel } from '../../models/pretrained-model.js';
import { loadModel, type SaveGgufOptions, saveGguf } from '../../pretrained/index.js';
import { openDevice } from '../shared.js';

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('write a language model as a GGUF file, in fewer bits')
    .argument('<model>', 'folder, GGUF file, or id on the hub')
    .argument('<file>', 'the GGUF file to write')
    .addOption(
      new Option('--type <type>', 'what matrices become').choices(['f16', 'q8_0', 'q4_0', 'q4_1']).default('q8_0'),
    )
    .action(async (name: string, file: string, options: Required<SaveGgufOptions>, command: Command) => {
      using device = await openDevice(command);
      const model: unknown = await loadModel(device, name, { weights: 'float32' });
      if (!(model instanceof PretrainedModel))
        throw new FormatError(`'${name}' is a Transformer of this package: GGUF files have no place for it`);
      await saveGguf(model, file, options);
    });
}
