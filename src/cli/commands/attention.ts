import { fstatSync, statSync } from 'node:fs';
import { Command, Option } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { type HeadStatistics, headStatistics } from '../../inspect/heads.js';
import { renderHeatMap } from '../../inspect/heat-map.js';
import { heatMapGridSvg } from '../../inspect/svg.js';
import type { Transformer } from '../../models/families/transformer.js';
import { loadModel, openDevice, printJson, showsColors, visible } from '../common.js';
import { encodeInput, tokenizersOf } from '../encoding.js';
import { example } from '../help.js';
import { integer, svgFile } from '../parsers.js';
import { exiting } from '../stopping.js';
import { writeWhole } from '../whole-file.js';

interface AttentionOptions {
  output?: string;
  kind?: keyof AttentionMaps;
  layer?: number;
  head?: number;
  json?: boolean;
}

const KINDS = ['encoder', 'decoder', 'cross'];

export function attentionCommand(): Command {
  return new Command('attention')
    .description('show the attention of each head in each layer while a model generates')
    .argument('<model>', 'folder or name of a model that was trained here')
    .argument('<text>', 'input; for a decoder-only model, the prompt')
    .option(
      '-o, --output <file.svg>',
      'SVG file of all maps, - for standard output (default: a table in the terminal)',
      svgFile,
    )
    .addOption(
      new Option(
        '--kind <kind>',
        'kind of attention (default: cross if the model has it, otherwise its only kind)',
      ).choices(KINDS),
    )
    .option('--layer <n>', 'number of the only layer to show, from 1 (default: all)', integer(1))
    .option('--head <n>', 'number of the only head to show, from 1 (default: all)', integer(1))
    .option('--json', 'print weights and statistics as JSON')
    .addHelpText('after', example('attention g2p-en hello --output heads.svg'))
    .action(async (name: string, text: string, options: AttentionOptions, command: Command) => {
      using device = await openDevice(command);
      const model = await loadModel(device, name);
      const { source, target } = tokenizersOf(model);
      const kind = kindOf(model, options.kind);
      const read = encodeInput(model, text);
      const { maps, written } = await observe(model, read);
      const label = (tokenizer: typeof source) => (id: number) => visible(tokenizer.idToToken(id) ?? `${id}`);
      const inputs = read.map(label(source));
      const outputs = written.map(label(target));
      const queries = kind === 'encoder' ? inputs : outputs;
      const keys = kind === 'decoder' ? outputs : inputs;
      const heads = await headsOf(maps[kind], options);
      const found: Found = { kind, queries, keys, heads };
      const isPrinted = options.output === undefined || (await savePicture(options.output, found, options));
      if (isPrinted && options.json) printJson(found);
      else if (isPrinted) printHeads(found);
    });
}

/** The attention of the requested heads between two lists of tokens. */
interface Found {
  readonly kind: keyof AttentionMaps;
  readonly queries: readonly string[];
  readonly keys: readonly string[];
  readonly heads: readonly Head[];
}

/** Writes all maps as an SVG. Returns true if the numbers are to be printed, too. */
async function savePicture(output: string, { kind, queries, keys, heads }: Found, { json }: AttentionOptions) {
  const titled = heads.map(({ layer, head, weights }) => ({ title: `layer ${layer}, head ${head}`, weights }));
  const picture = heatMapGridSvg(titled, { queries, keys });
  if (output === '-') {
    process.stdout.write(picture);
    return false;
  }
  using _exiting = exiting();
  await writeWhole(output, picture);
  if (isOutput(output)) return false; // standard output has the picture, so nothing else is printed
  if (!json) console.log(`${heads.length} ${kind} attention maps: ${output}`);
  return json === true;
}

function printHeads({ kind, queries, keys, heads }: Found): void {
  for (const { layer, head, entropy, distance, previous, weights } of heads) {
    const numbers = `entropy ${entropy.toFixed(2)} bits, distance ${distance.toFixed(1)}`;
    const looksBack = kind === 'cross' ? '' : `, previous token ${(100 * previous).toFixed(0)} %`;
    console.log(`\n${kind}, layer ${layer}, head ${head}: ${numbers}${looksBack}`);
    console.log(renderHeatMap(weights, { rows: queries, columns: keys, color: showsColors() }));
  }
}

/** True if a path leads to the same file as standard output. */
function isOutput(path: string): boolean {
  const [there, output] = [statSync(path), fstatSync(1)];
  return there.dev === output.dev && there.ino === output.ino;
}

/** Returns the requested kind of attention, or the most informative one of the model. */
function kindOf({ config }: Transformer, wanted: AttentionOptions['kind']): keyof AttentionMaps {
  const { encoderLayers, decoderLayers } = config;
  if (encoderLayers > 0 && decoderLayers > 0) return wanted ?? 'cross';
  const only = encoderLayers > 0 ? 'encoder' : 'decoder';
  if ((wanted ?? only) !== only)
    throw new ArgumentError(`the model has no ${wanted} attention, only ${only} attention`);
  return only;
}

/** Computes all attention maps for a text. Also returns the tokens that the decoder read. */
async function observe(model: Transformer, read: number[]): Promise<{ maps: AttentionMaps; written: number[] }> {
  const { encoderLayers, decoderLayers } = model.config;
  if (decoderLayers === 0) return { maps: model.attentionMaps([read]), written: [] };
  if (encoderLayers === 0) return { maps: model.attentionMaps(null, [read]), written: read };
  const { sequences } = await model.generate([read]);
  const begin = model.startId as number; // the token that generate began with
  const written = [begin, ...(sequences[0] as number[])].slice(0, model.config.maxLength);
  return { maps: model.attentionMaps([read], [written]), written };
}

interface Head extends HeadStatistics {
  readonly layer: number;
  readonly head: number;
  readonly weights: number[];
}

/** The requested heads, numbered from 1. `layers` are [1, heads, queries, keys] each. */
async function headsOf(layers: readonly Tensor[], wanted: { layer?: number; head?: number }): Promise<Head[]> {
  const all: Head[] = [];
  for (const [i, tensor] of layers.entries()) {
    const statistics = await headStatistics(tensor);
    const values = await tensor.data();
    const size = values.length / statistics.length;
    statistics.forEach((head, h) => {
      all.push({ layer: i + 1, head: h + 1, ...head, weights: Array.from(values.subarray(h * size, (h + 1) * size)) });
    });
  }
  const found = all.filter(({ layer, head }) => layer === (wanted.layer ?? layer) && head === (wanted.head ?? head));
  if (found.length === 0) {
    throw new ArgumentError(
      `the model has no such head: it has ${layers.length} layers of ${all.length / layers.length} heads`,
    );
  }
  return found;
}
