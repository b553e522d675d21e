import { writeFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { type HeadStatistics, headStatistics } from '../../inspect/heads.js';
import { renderHeatMap } from '../../inspect/heat-map.js';
import { heatMapGridSvg } from '../../inspect/svg.js';
import type { AttentionMaps } from '../../models/transformer.js';
import { loadModel, openDevice, positiveInteger, printJson } from '../shared.js';
import { tokenizersOf } from '../tasks.js';

interface AttentionOptions {
  output?: string;
  kind: keyof AttentionMaps;
  layer?: number;
  head?: number;
  json?: boolean;
}

export function attentionCommand(): Command {
  return new Command('attention')
    .description('show where a model looks while it writes: each head of each layer')
    .argument('<model>', 'folder or name of a model')
    .argument('<text>', 'input; of a decoder-only model, the text that is read')
    .option('-o, --output <file.svg>', 'write all maps as a picture')
    .addOption(new Option('--kind <kind>', 'which attention').choices(['encoder', 'decoder', 'cross']).default('cross'))
    .option('--layer <n>', 'only this layer, from 1', positiveInteger)
    .option('--head <n>', 'only this head, from 1', positiveInteger)
    .option('--json', 'print weights and statistics as JSON')
    .action(async (name: string, text: string, options: AttentionOptions, command: Command) => {
      using device = await openDevice(command);
      const model = await loadModel(device, name);
      const { source, target } = tokenizersOf(model);
      const hasEncoder = model.config.encoderLayers > 0;
      const kind = hasEncoder ? options.kind : 'decoder';
      const read = hasEncoder ? source.encode(text) : target.encode(text);
      const written = hasEncoder
        ? [model.config.bosId, ...((await model.generate([read])).sequences[0] as number[])]
        : read;
      const maps = model.attentionMaps(hasEncoder ? [read] : null, [written]);
      const label = (tokenizer: typeof source) => (id: number) => tokenizer.idToToken(id) ?? `${id}`;
      const inputs = read.map(label(source));
      const outputs = written.map(label(target));
      const queries = kind === 'encoder' ? inputs : outputs;
      const keys = kind === 'decoder' ? outputs : inputs;
      const heads = await headsOf(maps[kind], options);
      if (options.json) return printJson({ kind, queries, keys, heads });
      if (options.output !== undefined) {
        const titled = heads.map(({ layer, head, weights }) => ({ title: `layer ${layer}, head ${head}`, weights }));
        await writeFile(options.output, heatMapGridSvg(titled, { queries, keys }));
        console.log(`${heads.length} ${kind} attention maps: ${options.output}`);
        return;
      }
      for (const { layer, head, entropy, distance, previous, weights } of heads) {
        const numbers = `entropy ${entropy.toFixed(2)} bits, distance ${distance.toFixed(1)}`;
        const looksBack = kind === 'cross' ? '' : `, previous token ${(100 * previous).toFixed(0)} %`;
        console.log(`\n${kind}, layer ${layer}, head ${head}: ${numbers}${looksBack}`);
        console.log(renderHeatMap(weights, { rows: queries, columns: keys, color: process.stdout.isTTY }));
      }
    });
}

interface Head extends HeadStatistics {
  readonly layer: number;
  readonly head: number;
  readonly weights: number[];
}

/** The heads that are asked for, numbered from 1. `layers` hold [1, heads, queries, keys] each. */
async function headsOf(layers: readonly Tensor[], wanted: { layer?: number; head?: number }): Promise<Head[]> {
  const all: Head[] = [];
  for (const [i, tensor] of layers.entries()) {
    const statistics = await headStatistics(tensor);
    const values = await tensor.data();
    const size = values.length / statistics.length;
    statistics.forEach((each, h) => {
      all.push({ layer: i + 1, head: h + 1, ...each, weights: Array.from(values.subarray(h * size, (h + 1) * size)) });
    });
  }
  const found = all.filter(({ layer, head }) => layer === (wanted.layer ?? layer) && head === (wanted.head ?? head));
  if (found.length === 0) {
    throw new ArgumentError(
      `there is no such head: the model has ${layers.length} layers of ${all.length / layers.length} heads`,
    );
  }
  return found;
}
