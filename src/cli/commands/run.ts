import { Command, Option } from 'commander';
import type { GenerateOptions } from '../../generate/options.js';
import type { Transformer } from '../../models/transformer.js';
import { encodeInputs, tokenizersOf } from '../encoding.js';
import { integer, positive } from '../parsers.js';
import { loadModel, openDevice, printJson, readTexts } from '../shared.js';

interface RunOptions {
  beams?: number;
  nBest: number;
  sample?: boolean;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  maxTokens?: number;
  seed: number;
  json?: boolean;
}

/** Options that only mean something where tokens are drawn. */
const drawing = (flags: string, description: string) => new Option(flags, description).implies({ sample: true });

export function runCommand(): Command {
  return new Command('run')
    .description('let a model write: the output for each text, or what follows it')
    .argument('<model>', 'folder or name of a model, such as g2p-en')
    .argument('[text...]', 'inputs; without them, the lines of standard input')
    .option('--beams <n>', 'hypotheses of beam search (default: 1, greedy)', integer(1))
    .option('--n-best <n>', 'outputs for each text: the best of as many beams, or samples', integer(1), 1)
    .option('--sample', 'draw tokens by their probabilities')
    .addOption(drawing('--temperature <t>', 'sample; below 1, likely tokens become likelier').argParser(positive()))
    .addOption(drawing('--top-k <k>', 'sample from the k most probable tokens').argParser(integer(1)))
    .addOption(
      drawing('--top-p <p>', 'sample from the most probable tokens that together have probability p').argParser(
        positive(1),
      ),
    )
    .addOption(drawing('--min-p <p>', "sample from tokens with this share of the highest's").argParser(positive(1)))
    .option('--max-tokens <n>', 'tokens to write at most (default: 256, or what the model can)', integer(1))
    .option('--seed <n>', 'same seed, same output', integer(0), 0)
    .option('--json', 'print JSON, with scores')
    .action(async (name: string, texts: string[], options: RunOptions, command: Command) => {
      using device = await openDevice(command);
      const model = await loadModel(device, name);
      const { target } = tokenizersOf(model);
      const inputs = await readTexts(texts);
      const encoded = encodeInputs(model, inputs);
      const goesOn = model.config.encoderLayers === 0;
      // A text that grows beyond what the model can read goes on from its end.
      const settings = { ...generateOptions(options), cropContext: goesOn };
      if (
        goesOn &&
        process.stdout.isTTY &&
        inputs.length === 1 &&
        settings.numBeams === 1 &&
        options.nBest === 1 &&
        !options.json
      ) {
        return await write(model, inputs[0] as string, encoded[0] as number[], settings);
      }
      const generated = await model.generate(encoded, settings);
      const results = generated.sequences.map((ids, i) => ({
        input: inputs[generated.inputs[i] as number] as string,
        output: target.decode(ids),
        score: generated.scores[i],
      }));
      if (options.json) return printJson(results);
      const named = inputs.length > 1 || options.nBest > 1;
      for (const { input, output } of results)
        console.log(goesOn ? input + output : named ? `${input}\t${output}` : output);
    });
}

/** Shows each token as it comes. */
async function write(model: Transformer, text: string, prompt: number[], settings: GenerateOptions): Promise<void> {
  const { target } = tokenizersOf(model);
  process.stdout.write(text);
  const ids: number[] = [];
  let shown = '';
  for await (const { token } of model.stream([prompt], settings)) {
    ids.push(token);
    const written = target.decode(ids);
    if (written.endsWith('\ufffd')) continue; // the rest of a character is in the next token
    process.stdout.write(written.slice(shown.length));
    shown = written;
  }
  process.stdout.write('\n');
}

function generateOptions({ beams = 1, nBest, sample, maxTokens, seed, ...options }: RunOptions): GenerateOptions {
  const { temperature, topK, topP, minP } = options;
  const optional = { doSample: sample, temperature, topK, topP, minP, maxNewTokens: maxTokens };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  const numBeams = sample ? beams : Math.max(beams, nBest);
  return { ...Object.fromEntries(given), numBeams, numReturnSequences: nBest, seed };
}
