import { Command } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import type { GenerateOptions } from '../../generate/generate-options.js';

import { DEFAULT_NEW_TOKENS, OPTION_TABLE } from '../../generate/option-table.js';
import type { CacheType } from '../../ops/kv-cache.js';
import type { LoadModelOptions } from '../../pretrained/index.js';
import { openDevice, printJson } from '../common.js';
import { EXIT } from '../exit.js';
import { addGenerationFlags, generationFlags } from '../generation-flags.js';
import { type InputText, inputTexts } from '../given-texts.js';
import { example } from '../help.js';
import { continueAboutImages } from '../image-prompts.js';
import { integer, MAX_HYPOTHESES } from '../parsers.js';
import { exiting } from '../stopping.js';
import { openGenerator, type TextGenerator } from '../text-generator.js';
import { cacheOption, weightsOption } from '../weights-option.js';

interface RunOptions {
  beams?: number;
  nBest: number;
  sample?: boolean;
  maxTokens?: number;
  seed: number;
  image?: string[];
  json?: boolean;
  weights?: LoadModelOptions['weights'];
  cacheType?: CacheType;
}

export function runCommand(): Command {
  const command = new Command('run')
    .description('generate the output for each text, or its continuation')
    .argument(
      '<model>',
      'folder or name of a model that was trained here, such as g2p-en; a GGUF file; or a hub id, such as org/name',
    )
    .argument('[text...]', 'inputs (default: the lines of standard input)')
    .option(
      '--beams <n>',
      `number of hypotheses of beam search (default: ${OPTION_TABLE.numBeams.default}, greedy search)`,
      integer(1, MAX_HYPOTHESES),
    )
    .option(
      '--n-best <n>',
      'number of outputs for each text: the best beams, or samples',
      integer(1, MAX_HYPOTHESES),
      1,
    )
    .option('--sample', 'draw tokens by their probabilities')
    .option('--max-tokens <n>', OPTION_TABLE.maxNewTokens.help, integer(1))
    .option(
      '--seed <n>',
      'seed of sampling: the same seed gives the same output',
      integer(0),
      OPTION_TABLE.seed.default,
    )
    .addOption(weightsOption())
    .addOption(cacheOption())
    .option('--image <file...>', 'images, for a model that reads images; give this flag after the text (default: none)')
    .option('--json', 'print JSON, with scores')
    .addHelpText('after', example('run HuggingFaceTB/SmolLM2-135M "The capital of France is" --max-tokens 20'))
    .action(async (name: string, texts: string[], options: RunOptions, command: Command) => {
      if (options.image) {
        if (options.json || options.weights)
          command.error(`error: --image takes no --${options.json ? 'json' : 'weights'}`);
        await continueAboutImages(name, texts, options.image, generateOptions(options), command);
      } else await generateTexts(name, texts, options, command);
    });
  return addGenerationFlags(command);
}

/** Generates for each text, and prints the results as lines, or as one JSON array. */
async function generateTexts(name: string, texts: string[], options: RunOptions, command: Command): Promise<void> {
  using device = await openDevice(command);
  using _exiting = exiting();
  const generator = await openGenerator(device, name, options.weights);
  const { model, continuesInput, cropsContext } = generator;
  const settings = { ...generateOptions(options), cropContext: cropsContext };
  const hasOneOutput = settings.numBeams === 1 && options.nBest === 1;
  const canStream = continuesInput && process.stdout.isTTY && hasOneOutput && !options.json;
  const results: Result[] = [];
  let showsInput = options.nBest > 1; // outputs of several inputs are printed beside their input
  let { seed } = options;
  for await (const batch of inputTexts(texts)) {
    showsInput ||= batch.length > 1;
    const inputs = batch.flatMap((text) => encodeText(generator, text, options.maxTokens) ?? []);
    if (inputs.length === 0) continue;
    const seeded = { ...settings, seed };
    seed = (seed + 1) % Number.MAX_SAFE_INTEGER; // later texts use new random numbers
    if (canStream && batch.length === 1) {
      await printStream(generator, inputs[0] as EncodedText, seeded);
      continue;
    }
    for (const together of roomy(inputs, generator)) {
      const generated = await model.generate(
        together.map(({ ids }) => ids),
        seeded,
      );
      generated.sequences.forEach((ids, i) => {
        const input = (together[generated.inputs[i] as number] as EncodedText).text;
        const output = generator.decode(ids);
        if (options.json) results.push({ input, output, score: generated.scores[i] as number });
        else console.log(continuesInput ? input + output : showsInput ? `${input}\t${output}` : output);
      });
    }
  }
  if (options.json) printJson(results);
}

interface EncodedText {
  readonly text: string;
  readonly ids: number[];
}

interface Result {
  readonly input: string;
  readonly output: string;
  readonly score: number;
}

/** Encodes a text. An error in a line does not stop the following lines, but it sets the exit code. */
function encodeText(
  generator: TextGenerator,
  { name, isLine, read }: InputText,
  maxTokens: number | undefined,
): EncodedText | undefined {
  try {
    const text = read();
    const ids = generator.encode(text, name);
    if (generator.continuesInput && !generator.cropsContext)
      checkRoom(isLine ? 'it' : name, ids.length, maxTokens, generator.model.maxLength);
    return { text, ids };
  } catch (error) {
    if (!isLine || !(error instanceof ArgumentError)) throw error;
    console.error(`simdformer: ${name} is left out: ${error.message}`);
    process.exitCode = EXIT.failed;
    return undefined;
  }
}

/** Throws ArgumentError for a text that leaves no room for its continuation. */
function checkRoom(name: string, length: number, maxTokens: number | undefined, maxLength: number): void {
  if (length + (maxTokens ?? 1) - 1 <= maxLength) return;
  const wanted = maxTokens === undefined ? '' : `, and --max-tokens is ${maxTokens}`;
  const toDo = length > maxLength ? 'shorten it' : 'shorten it, or lower --max-tokens';
  throw new ArgumentError(`${name} has ${length} tokens${wanted}, but the model's maxLength is ${maxLength}: ${toDo}`);
}

/** Puts texts together, unless a long one would leave less room for the outputs of the others. */
function roomy(
  inputs: readonly EncodedText[],
  { continuesInput, cropsContext, model }: TextGenerator,
): readonly (readonly EncodedText[])[] {
  const hasRoom = ({ ids }: EncodedText) => ids.length + DEFAULT_NEW_TOKENS <= model.maxLength;
  return !continuesInput || cropsContext || inputs.every(hasRoom) ? [inputs] : inputs.map((input) => [input]);
}

/** Prints a text and each token that continues it, as soon as the token is chosen. */
async function printStream(
  { model, decode }: TextGenerator,
  { text, ids: prompt }: EncodedText,
  settings: GenerateOptions,
): Promise<void> {
  process.stdout.write(text);
  const ids: number[] = [];
  let printed = '';
  for await (const { token } of model.stream([prompt], settings)) {
    ids.push(token);
    const decoded = decode(ids);
    if (decoded.endsWith('\ufffd')) continue; // the next token completes the character
    process.stdout.write(decoded.slice(printed.length));
    printed = decoded;
  }
  process.stdout.write('\n');
}

function generateOptions(options: RunOptions): GenerateOptions {
  const { beams = 1, nBest, sample, maxTokens, seed, cacheType } = options;
  const optional = { doSample: sample, maxNewTokens: maxTokens, cacheType };
  const definedFlags = Object.entries(optional).filter(([, value]) => value !== undefined);
  const flags = generationFlags(options);
  const numBeams = (flags.doSample ?? sample) ? beams : Math.max(beams, nBest);
  return { ...Object.fromEntries(definedFlags), ...flags, numBeams, numReturnSequences: nBest, seed };
}
