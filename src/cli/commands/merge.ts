import { realpath } from 'node:fs/promises';
import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { loadModel } from '../../pretrained/load-later.js';
import { openDevice } from '../common.js';
import { example, REVISION } from '../help.js';
import { exiting } from '../stopping.js';

interface MergeOptions {
  readonly out: string;
  readonly base?: string;
  readonly revision?: string;
}

export function mergeCommand(): Command {
  return new Command('merge')
    .description('add an adapter to the weights of its base, and write the resulting model')
    .argument('<adapter>', 'folder or hub id of an adapter in the format of PEFT')
    .requiredOption('-o, --out <folder>', 'folder to write the model to')
    .option('--base <model>', 'folder or hub id of the base (default: the one that the adapter names)')
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('merge adapter --out merged'))
    .action(async (name: string, { out, base, revision }: MergeOptions, command: Command) => {
      using device = await openDevice(command);
      using _exiting = exiting();
      using model = await loadModel(device, name, { baseModel: base, revision, weights: 'float32' });
      if (model.adapters.size === 0) throw new ArgumentError(`${name} is a model, expected an adapter to merge`);
      for (const [kind, source] of Object.entries({ adapter: name, base: String(model.origin?.from) }))
        if ((await realPathOf(source)) === (await realPathOf(out)))
          throw new ArgumentError(`${out} is the folder of the ${kind}: give another one with --out`);
      for (const adapter of model.adapters.values()) adapter.merge();
      await model.save(out);
      console.log(`Model: ${out}, which is ${model.origin?.from} with ${name} in its weights.`);
    });
}

/** The path without links; the path itself if nothing is there. */
const realPathOf = (path: string) => realpath(path).catch(() => path);
