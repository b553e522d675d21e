import { Command, Option } from 'commander';
import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import { modelCost } from '../../inspect/cost.js';
import { type OnnxDType, onnxDTypes } from '../../pretrained/onnx/files.js';
import { checkedReport } from '../checked-model.js';
import { loadModel, namedModel, openDevice, printJson } from '../common.js';
import { EXIT } from '../exit.js';
import { printReport } from '../folder-info.js';
import { ggufAt, printGguf } from '../gguf-info.js';
import { example, REVISION } from '../help.js';
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
    .description('describe the engine on this machine, or a model without reading its weights')
    .argument('[model]', 'folder, hub id or URL of a model, a GGUF file, or the name of a model that was trained here')
    .option('--length <n>', 'tokens of the sequence for which operations are counted', integer(1), 32)
    .option('--revision <name>', REVISION)
    .option('--base <model>', "folder or hub id of an adapter's base (default: the one that the adapter names)")
    .addOption(
      new Option('--dtype <name>', 'variant of ONNX files to check (default: the most precise)').choices(onnxDTypes),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', example('info sentence-transformers/all-MiniLM-L6-v2'))
    .action(async (name: string | undefined, options: InfoOptions, command: Command) => {
      using device = await openDevice(command);
      using _exiting = exiting();
      if (name === undefined) printEngine(device, options);
      else if (isOwnFolder(name) || namedModel(name) !== undefined) await printOwnModel(device, name, options);
      else await checkFolder(device, name, options);
    });
}

function printEngine({ info }: Device, { json }: InfoOptions) {
  if (json) return printJson(info);
  console.log(`simdformer ${info.version}, ${info.backend} backend`);
  console.log(`instruction set  ${info.isa} (this machine has: ${info.isas.join(', ')})`);
  console.log(`threads          ${info.threads}`);
  if (info.reason !== undefined) console.log(`why not native   ${info.reason}`);
}

/** Describes a folder of transformers or a GGUF file. The exit code says if this library can run it. */
async function checkFolder(device: Device, name: string, options: InfoOptions): Promise<void> {
  const { revision, base: baseModel, dtype, json: isJson = false } = options;
  const report = await checkedReport(device, name, { revision, baseModel, dtype });
  if (!report.fits) process.exitCode = EXIT.failed;
  if (report.problem !== null && !isJson) throw new FormatError(report.problem);
  const gguf = report.problem === null ? ggufAt(name) : null;
  if (gguf === null) printReport(report, isJson);
  else await printGguf(gguf, report, isJson);
}

/** Describes a model that this library saved, and the cost of a forward pass. */
async function printOwnModel(device: Device, name: string, options: InfoOptions): Promise<void> {
  const model = await loadModel(device, name);
  const { source, target } = model.tokenizers;
  const length = Math.min(options.length, model.config.maxLength);
  const cost = modelCost(model, { source: length, target: length });
  if (options.json) return printJson({ device: device.info, config: model.config, ...cost });
  const { encoderLayers, decoderLayers, dModel, heads, dFF, gated, norm, normalization, positions } = model.config;
  const { sourceVocab, targetVocab } = model.config;
  const kindOfNorm = `${norm}-norm${normalization === 'rms' ? ', root mean squares' : ''}`;
  const has = (tokenizer: unknown) => (tokenizer ? 'yes' : 'no');
  const mega = (cost.forwardFlops / 1e6).toFixed(1);
  const mebibytes = (cost.forwardBytes / 2 ** 20).toFixed(1);
  for (const line of [
    `layers           ${encoderLayers} encoder, ${decoderLayers} decoder (${kindOfNorm})`,
    `sizes            dModel ${dModel}, ${heads} heads, dFF ${dFF}${gated ? ', gated' : ''}, positions ${positions.kind}`,
    `vocabularies     ${sourceVocab} source, ${targetVocab} target; tokenizers ${has(source)}, ${has(target)}`,
    `parameters       ${cost.parameters.toLocaleString('en')}`,
    `a forward pass   ${mega} MFLOP, ${mebibytes} MiB, for ${length} tokens a side`,
  ])
    console.log(line);
}
