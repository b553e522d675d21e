import { existsSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { resolveLinks } from '../../io/atomic-write.js';
import { DEFAULT_SEED, type TransformerOptions } from '../../models/config.js';
import { resolveLossOptions } from '../../models/targets.js';
import { mpi } from '../../mpi/mpi.js';
import { type FitResult, fit } from '../../train/fit.js';
import type { WireFormat, World } from '../../train/world.js';
import { openDevice } from '../common.js';
import { defaultOfTasks, fitSettings, readTask, TASKS, type TaskConfig } from '../config.js';
import { EXIT } from '../exit.js';
import { example } from '../help.js';
import { checkpointIn, lockFolder } from '../out-folder.js';
import { integer, positive, share } from '../parsers.js';
import type { PreparedTask } from '../prepared-task.js';
import { showProgress } from '../progress.js';
import { changedSettings } from '../resumption.js';
import { type Stopping, stopping } from '../stopping.js';
import { prepareTask } from '../tasks.js';
import { stepsBefore, stepsWithin } from '../time-budget.js';
import { TrainingLog } from '../training-log.js';
import { reportTraining, withAdvice } from '../training-report.js';
import { writeWhole } from '../whole-file.js';

/** Settings of a task that are also options of the command. */
const SETTINGS = ['data', 'init', 'steps', 'epochs', 'batch', 'vocabSize', 'rDrop', 'ignoreIndex', 'seed'] as const;

/** Options of the model that are also options of the command. */
const SIZES = ['dModel', 'dFF', 'heads', 'dropout', 'activationDropout'] as const;

interface TrainOptions
  extends Pick<TaskConfig, (typeof SETTINGS)[number]>,
    Pick<TransformerOptions, (typeof SIZES)[number]> {
  validation?: string;
  minutes?: number;
  layers?: number;
  out: string;
  dtype: 'float32' | 'float16';
  wire: WireFormat;
  zeroStage: number;
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
}

export function trainCommand(): Command {
  return new Command('train')
    .description('train a model from scratch, and save it with its checkpoint, log and loss curve')
    .argument('<task>', `${TASKS.join(', ')}, or a JSON file that configures one of them`)
    .requiredOption('-o, --out <folder>', 'folder to write the model to')
    .option(
      '--data <file>',
      'training data: lines of source, tab, target; for characters, a text (default for pronunciation: the package cmu-pronouncing-dictionary)',
    )
    .option(
      '--validation <file>',
      'for translation: file of pairs for validation during training (default: some lines of --data)',
    )
    .option(
      '--init <model>',
      'saved model to start from, with its sizes, weights and tokenizers (default: random weights)',
    )
    .addOption(
      new Option('--steps <n>', `number of steps (default: ${defaultOfTasks(({ steps }) => steps)})`)
        .argParser(integer(1))
        .conflicts('epochs'),
    )
    .option(
      '--epochs <n>',
      `number of passes over all data (default: ${defaultOfTasks(({ epochs }) => epochs)})`,
      positive,
    )
    .addOption(
      new Option(
        '--minutes <n>',
        'as many steps as fit into this number of minutes, by the speed of the first steps (default: no time limit)',
      )
        .argParser(positive)
        .conflicts(['steps', 'epochs']),
    )
    .option(
      '--batch <n>',
      `tokens in a batch; for characters, windows (default: ${defaultOfTasks(({ batch }) => batch)})`,
      integer(1),
    )
    .option(
      '--layers <n>',
      `layers of the decoder, and of the encoder if there is one (default: ${defaultOfTasks(({ model }) => model?.decoderLayers)})`,
      integer(1),
    )
    .option(
      '--d-model <n>',
      `features of each token (default: ${defaultOfTasks(({ model }) => model?.dModel)})`,
      integer(1),
    )
    .option(
      '--d-ff <n>',
      `hidden features of the feed-forward networks (default: ${defaultOfTasks(({ model }) => model?.dFF)})`,
      integer(1),
    )
    .option(
      '--heads <n>',
      `attention heads of each layer (default: ${defaultOfTasks(({ model }) => model?.heads)})`,
      integer(1),
    )
    .option(
      '--dropout <p>',
      `share of elements that dropout sets to 0 in training (default: ${defaultOfTasks(({ model }) => model?.dropout)})`,
      share,
    )
    .option(
      '--activation-dropout <p>',
      'dropout of the hidden features of feed-forward networks (default: --dropout; for translation none)',
      share,
    )
    .option(
      '--r-drop <strength>',
      `weight of R-Drop, which makes two passes with different dropout agree, usually 1 to 5; doubles the work (default: ${resolveLossOptions({}).rDrop})`,
      positive,
    )
    .option(
      '--vocab-size <n>',
      `maximum size of the common vocabulary of both languages (default: ${defaultOfTasks(({ vocabSize }) => vocabSize)})`,
      integer(1),
    )
    .option(
      '--ignore-index <id>',
      `label that does not count in the loss (default: ${resolveLossOptions({}).ignoreIndex})`,
      integer(-(2 ** 31), 2 ** 31 - 1),
    )
    .option(
      '--seed <n>',
      `seed of weights, data order and dropout: the same seed gives the same model (default: ${DEFAULT_SEED})`,
      integer(0),
    )
    .addOption(
      new Option('--dtype <type>', 'type of the saved weights; float16 halves the file')
        .choices(['float32', 'float16'])
        .default('float32'),
    )
    .addOption(
      new Option('--wire <type>', 'type of the gradients that MPI ranks exchange; 16 bits halve the traffic, but round')
        .choices(['float32', 'float16', 'bfloat16'])
        .default('float32'),
    )
    .option('--zero-stage <stage>', "1 shards the optimizer's state over the MPI ranks", integer(0, 1), 0)
    .option('--resume', 'continue from the checkpoint in the folder; steps and learning rates may differ')
    .addOption(new Option('--overwrite', 'replace an earlier training or model in the folder').conflicts('resume'))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', example('train characters --data text.txt --out my-model'))
    .action(run);
}

async function run(taskName: string, options: TrainOptions, command: Command): Promise<void> {
  const { out, dtype } = options;
  const config = await readTask(taskName, overridesOf(options));
  checkFolder(options);
  const world = await mpi();
  using device = await openDevice(command, world.localSize);
  if (device.info.reason !== undefined) console.error(`Training in WebAssembly, slowly: ${device.info.reason}`);
  const task = await prepareWithin(device, config, options, world);
  const isFirst = world.rank === 0;
  using _folder = isFirst ? await lockFolder(out) : null;
  checkFolder(options); // again, because another training may have ended there meanwhile
  using stop = stopping();
  const start = performance.now();
  const result = await train(task, options, stop, world);
  if (isFirst) await task.model.save(out, { dtype });
  if (result.reason === 'aborted' && stop.by !== undefined) process.exitCode = EXIT[stop.by];
  const diverged = divergence(result);
  if (diverged !== undefined) {
    process.exitCode ||= EXIT.failed;
    if (isFirst) console.error(`simdformer: the training diverged: ${diverged}. ${ADVICE}`);
  }
  if (isFirst) reportTraining(result, options, (performance.now() - start) / 1000);
}

/** Prepares a task with as many steps as fit into `--minutes`. All ranks take the number of the first. */
async function prepareWithin(
  device: Device,
  config: TaskConfig,
  { minutes, resume, out }: TrainOptions,
  world: World,
): Promise<PreparedTask> {
  const before = resume ? stepsBefore(join(out, 'task.json')) : undefined;
  if (minutes === undefined) return prepareTask(device, config, world.size);
  if (before !== undefined) return prepareTask(device, { ...config, steps: before, epochs: undefined }, world.size);
  const trial = await prepareTask(device, config, world.size);
  const found = await stepsWithin(minutes, trial);
  trial.model.dispose();
  const [steps = found] = (await world.exchangeText(`${found}`)).map(Number);
  return prepareTask(device, { ...config, steps, epochs: undefined }, world.size);
}

/** Settings of a task that the command line overrides. */
function overridesOf(options: TrainOptions): Partial<TaskConfig> {
  const { validation: validationData, layers } = options;
  const sizes = defined(SIZES.map((name) => [name, options[name]]));
  // A decoder-only model has only the decoder's layers.
  const stacks = layers === undefined ? {} : { encoderLayers: layers, decoderLayers: layers };
  const model = { ...sizes, ...stacks };
  return defined([
    ...SETTINGS.map((name) => [name, options[name]] as const),
    ['validationData', validationData],
    ['model', Object.keys(model).length > 0 ? model : undefined],
  ]);
}

function defined(entries: readonly (readonly [name: string, value: unknown])[]): object {
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/**
 * Throws ArgumentError if the folder has another training or a model, unless --overwrite is given. A training may have
 * taken days.
 */
function checkFolder({ out, resume, overwrite }: TrainOptions): void {
  const found = existsSync(checkpointIn(out));
  if (found && !resume && !overwrite) {
    throw new ArgumentError(
      `${out} contains the checkpoint of another training: --resume continues it, --overwrite discards it`,
    );
  }
  if (!found && !overwrite && existsSync(join(out, 'model.safetensors'))) {
    throw new ArgumentError(
      `${out} already contains a model: --overwrite replaces it; to train it further, give it as --init`,
    );
  }
}

/**
 * Fits the model, with log, progress and checkpoint. `stop`, or a log that cannot be written, ends it in an orderly
 * way.
 */
async function train(
  { config, model, batches, ...task }: PreparedTask,
  options: TrainOptions,
  stop: Stopping,
  world: World,
): Promise<FitResult> {
  const { out, resume, wire } = options;
  const settings = join(out, 'task.json');
  const saveSettings = () => writeWhole(settings, `${JSON.stringify(config, null, 1)}\n`);
  const isFirst = world.rank === 0; // other ranks write nothing
  if (resume && existsSync(checkpointIn(out))) {
    for (const change of changedSettings(settings, config)) if (isFirst) console.error(`Changed: ${change}`);
  } else if (isFirst) {
    if (resume) console.error(`There is no checkpoint in ${out}: starting from the beginning.`);
    if (existsSync(checkpointIn(out))) await unlink(await resolveLinks(checkpointIn(out))); // --overwrite discards it
    await saveSettings(); // before the first checkpoint, so that every resumption can compare them
  }
  const log = new TrainingLog(join(out, 'log.jsonl'), stop.now);
  const progress = isFirst ? showProgress(config.task === 'pronunciation' ? 'words' : 'tokens') : null;
  const result = await fit(model, batches, {
    ...task,
    ...fitSettings(config),
    checkpoint: checkpointIn(out),
    resume,
    world,
    wire,
    zeroStage: options.zeroStage === 1 ? 1 : 0,
    signal: stop.signal,
    onStep(step) {
      progress?.onStep(step);
      if (isFirst) log.onStep(step);
    },
    onValidation(validation) {
      progress?.onValidation(validation);
      if (isFirst) log.onValidation(validation);
    },
  })
    .catch((error: unknown) => {
      if (!(error instanceof FormatError)) throw withAdvice(error, ADVICE);
      // The checkpoint is damaged.
      throw new FormatError(`${error.message}. --overwrite starts again`, { cause: error });
    })
    .finally(() => progress?.stop());
  if (!isFirst) return result;
  await log.end(result);
  await saveSettings();
  return result;
}

const ADVICE = 'Lower schedule.peak and start again with --overwrite';

/** Returns a metric of the saved weights that is not finite; undefined if all are finite. */
function divergence({ metrics = {} }: FitResult): string | undefined {
  const odd = Object.entries(metrics).find(([, value]) => !Number.isFinite(value));
  return odd && `its last ${odd[0]} is ${odd[1]}`;
}
