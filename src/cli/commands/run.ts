import { Command } from 'commander';
import type { GenerateOptions } from '../../generate/options.js';
import { loadModel, number, openDevice, positiveInteger, printJson, readTexts } from '../shared.js';
import { tokenizersOf } from '../tasks.js';

interface RunOptions {
  beams: number;
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

export function runCommand(): Command {
  return new Command('run')
    .description('let a model write: the output for each text, or what follows it')
    .argument('<model>', 'folder or name of a model, such as g2p-en')
    .argument('[text...]', 'inputs; without them, the lines of standard input')
    .option('--beams <n>', 'hypotheses of beam search', positiveInteger, 1)
    .option('--n-best <n>', 'outputs for each text', positiveInteger, 1)
    .option('--sample', 'draw tokens by their probabilities')
    .option('--temperature <t>', 'below 1: likely tokens become likelier (with --sample)', number)
    .option('--top-k <k>', 'draw from the k most probable tokens (with --sample)', positiveInteger)
    .option(
      '--top-p <p>',
      'draw from the most probable tokens that together have probability p (with --sample)',
      number,
    )
    .option('--min-p <p>', 'draw from tokens with this share of the highest probability (with --sample)', number)
    .option('--max-tokens <n>', 'tokens to write at most', positiveInteger)
    .option('--seed <n>', 'same seed, same output', number, 0)
    .option('--json', 'print JSON, with scores')
    .action(async (name: string, texts: string[], options: RunOptions, command: Command) => {
      using device = await openDevice(command);
      const model = await loadModel(device, name);
      const { source, target } = tokenizersOf(model);
      const inputs = await readTexts(texts);
      const encoded = inputs.map((text) => encode(source, text));
      // A text model without an end token writes until it has written enough.
      const stopTokens = target.eosId === undefined ? [] : [target.eosId];
      const generated = await model.generate(encoded, { ...generateOptions(options), stopTokens });
      const outputs = generated.sequences.map((ids) => target.decode(ids));
      if (options.json) {
        printJson(
          outputs.map((output, i) => ({
            input: inputs[generated.inputs[i] as number],
            output,
            score: generated.scores[i],
          })),
        );
        return;
      }
      const single = model.config.encoderLayers === 0;
      outputs.forEach((output, i) => {
        const input = inputs[generated.inputs[i] as number] as string;
        console.log(single ? input + output : inputs.length > 1 || options.nBest > 1 ? `${input}\t${output}` : output);
      });
    });
}

/** Letters that a model knows in lower case only are no reason to fail. */
function encode(tokenizer: { encode(text: string): number[] }, text: string): number[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    if (text.toLowerCase() === text) throw error;
    return tokenizer.encode(text.toLowerCase());
  }
}

function generateOptions({
  beams,
  nBest,
  sample,
  temperature,
  topK,
  topP,
  minP,
  maxTokens,
  seed,
}: RunOptions): GenerateOptions {
  const drawing = { doSample: sample, temperature, topK, topP, minP };
  return {
    ...defined({ ...drawing, maxNewTokens: maxTokens }),
    numBeams: beams,
    numReturnSequences: nBest,
    seed,
  };
}

function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
