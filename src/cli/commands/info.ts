import { Command } from 'commander';
import { modelCost } from '../../inspect/cost.js';
import { loadModel, openDevice, printJson } from '../common.js';
import { printFolder } from '../folder-info.js';
import { ggufAt, printGguf } from '../gguf-info.js';
import { integer } from '../parsers.js';
import { isPretrainedFolder } from '../pretrained-folder.js';

export function infoCommand(): Command {
  return new Command('info')
    .description('describe the engine on this machine, or a model')
    .argument('[model]', 'folder or name of a model, or a GGUF file')
    .option('--length <n>', 'length of the sequences for which operations are counted', integer(1), 32)
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, options: { length: number; json?: boolean }, command: Command) => {
      const gguf = name === undefined ? null : ggufAt(name);
      if (gguf !== null) return printGguf(gguf, options.json === true);
      if (name !== undefined && isPretrainedFolder(name)) return printFolder(name, options.json === true);
      using device = await openDevice(command);
      const { info } = device;
      if (name === undefined) {
        if (options.json) printJson(info);
        else {
          console.log(`simdformer ${info.version}, ${info.backend} backend`);
          console.log(`instruction set  ${info.isa} (this machine has: ${info.isas.join(', ')})`);
          console.log(`threads          ${info.threads}`);
          if (info.reason !== undefined) console.log(`why not native   ${info.reason}`);
        }
        return;
      }
      const model = await loadModel(device, name);
      const { source, target } = model.tokenizers;
      const length = Math.min(options.length, model.config.maxLength);
      const cost = modelCost(model, { source: length, target: length });
      if (options.json) return printJson({ device: info, config: model.config, ...cost });
      const { encoderLayers, decoderLayers, dModel, heads, dFF, gated, norm, normalization, positions } = model.config;
      console.log(
        `layers           ${encoderLayers} encoder, ${decoderLayers} decoder (${norm}-norm${normalization === 'rms' ? ', root mean squares' : ''})`,
      );
      console.log(
        `sizes            dModel ${dModel}, ${heads} heads, dFF ${dFF}${gated ? ', gated' : ''}, positions ${positions.kind}`,
      );
      console.log(
        `vocabularies     ${model.config.sourceVocab} source, ${model.config.targetVocab} target; tokenizers ${source ? 'yes' : 'no'}, ${target ? 'yes' : 'no'}`,
      );
      console.log(`parameters       ${cost.parameters.toLocaleString('en')}`);
      console.log(
        `a forward pass   ${(cost.forwardFlops / 1e6).toFixed(1)} MFLOP, ${(cost.forwardBytes / 2 ** 20).toFixed(1)} MiB, for ${length} tokens a side`,
      );
    });
}
