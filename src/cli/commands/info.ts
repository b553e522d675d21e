import { Command, Option } from 'commander';
import { FormatError } from '../../core/errors.js';
import { modelCost } from '../../inspect/cost.js';
import { type OnnxDType, onnxDTypes } from '../../pretrained/onnx/files.js';
import { checkedReport } from '../checked-model.js';
import { loadModel, namedModel, openDevice, printJson } from '../common.js';
import { EXIT } from '../exit.js';
import { printReport } from '../folder-info.js';
import { ggufAt, printGguf } from '../gguf-info.js';
import { integer } from '../parsers.js';
import { isOwnFolder } from '../pretrained-folder.js';
import { exiting } from '../stopping.js';

interface InfoOptions {
  readonly length: number;
  readonly revision?: string;
  readonly base?: string;
  readonly dtype?: OnnxDType;
  readonly json?: boolean;
}

export function infoCommand(): Command {
  return new Command('info')
    .description('describe the engine on this machine, or a model, without reading its weights')
    .argument('[model]', 'folder, hub id or URL of a model, a GGUF file, or the name of a model that was trained here')
    .option('--length <n>', 'length of the sequences for which operations are counted', integer(1), 32)
    .option('--revision <name>', 'branch, tag or commit on the hub')
    .option('--base <model>', 'folder or id of the base of an adapter, in place of the one that it names')
    .addOption(
      new Option('--dtype <name>', 'variant of ONNX files to check (default: the most precise)').choices(onnxDTypes),
    )
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, options: InfoOptions, command: Command) => {
      using device = await openDevice(command);
      using _exiting = exiting();
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
      const isJson = options.json === true;
      if (!isOwnFolder(name) && namedModel(name) === undefined) {
        const { revision, base: baseModel, dtype } = options;
        const report = await checkedReport(device, name, { revision, baseModel, dtype });
        if (!report.fits) process.exitCode = EXIT.failed;
        if (report.problem !== null && !isJson) throw new FormatError(report.problem);
        const gguf = report.problem === null ? ggufAt(name) : null;
        return gguf === null ? printReport(report, isJson) : printGguf(gguf, report, isJson);
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
