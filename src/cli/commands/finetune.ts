import { existsSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ArgumentError } from '../../core/errors.js';
import { MAX_LENGTH } from '../../finetune/encoded.js';
import { type Lora, lora } from '../../finetune/index.js';
import type { FileRow } from '../../finetune/read-rows.js';
import { resolveLinks } from '../../io/atomic-write.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../../pretrained/load-later.js';
import { SETTINGS } from '../../pretrained/peft/adapter-folder.js';
import type { OnWarning } from '../../pretrained/warnings.js';
import { AdamW } from '../../train/adamw.js';
import { type FitResult, fit } from '../../train/fit.js';
import { linearDecay } from '../../train/schedule.js';
import { checkRows, collect } from '../collect.js';
import { openDevice } from '../common.js';
import { EXIT } from '../exit.js';
import { FINETUNE_TASKS, type FinetuneTask } from '../finetune-tasks.js';
import { example } from '../help.js';
import { CHECKPOINT_FILE, checkpointIn, lockFolder } from '../out-folder.js';
import { columnNames, integer, positive, share } from '../parsers.js';
import { showProgress } from '../progress.js';
import { changedSettings } from '../resumption.js';
import { type Stopping, stopping } from '../stopping.js';
import { TrainingLog } from '../training-log.js';
import { reportTraining, withAdvice } from '../training-report.js';
import { weightsOption } from '../weights-option.js';
import { writeWhole } from '../whole-file.js';

interface FinetuneOptions {
  model: string;
  task: string;
  data: string;
  validation?: string;
  out: string;
  epochs: number;
  batch: number;
  lr?: number;
  weightDecay: number;
  warmup: number;
  accumulate: number;
  maxLength?: number;
  limit?: number;
  columns?: Readonly<Record<string, string>>;
  lora?: boolean;
  r: number;
  alpha?: number;
  loraDropout: number;
  dora?: boolean;
  targets?: string;
  weights?: LoadModelOptions['weights'];
  seed: number;
  patience?: number;
  resume?: boolean;
  overwrite?: boolean;
  json?: boolean;
}

/** Default learning rates. Adapters start at zero and need a higher one. */
const RATES = { full: 5e-5, lora: 2e-3 };
/** Default scale of an adapter, for each rank. */
const ALPHA_PER_RANK = 2;
/** Options that describe an adapter. */
const ADAPTER_FLAGS = ['r', 'alpha', 'loraDropout', 'dora', 'targets'] as const;
const rateOf = ({ lr, lora }: FinetuneOptions) => lr ?? (lora ? RATES.lora : RATES.full);

export function finetuneCommand(): Command {
  return new Command('finetune')
    .description('fine-tune a pretrained model, and save it in the layout of Hugging Face')
    .requiredOption('--model <model>', 'folder or hub id of the model to fine-tune')
    .addOption(
      new Option('--task <task>', 'the task to learn').choices(Object.keys(FINETUNE_TASKS)).makeOptionMandatory(),
    )
    .requiredOption('--data <file>', 'rows to train on: .jsonl, .json, .csv, .tsv, .parquet, or .txt')
    .option('--validation <file>', 'rows on which the model is measured after each epoch (default: none)')
    .requiredOption('-o, --out <folder>', 'folder to write the model to')
    .option('--epochs <n>', 'passes over all rows', positive, 2)
    .option('--batch <n>', 'rows in a batch', integer(1), 32)
    .option('--lr <rate>', `maximum learning rate (default: ${RATES.full}; with --lora ${RATES.lora})`, positive)
    .option('--weight-decay <n>', 'weight decay of matrices, from 0 to 1', share, 0)
    .option('--warmup <share>', 'share of the steps in which the learning rate rises, from 0 to 1', share, 0)
    .option('--accumulate <n>', 'batches whose gradients are accumulated for one step', integer(1), 1)
    .option(
      '--max-length <n>',
      `cut texts to this number of tokens (default: the model's limit, at most ${MAX_LENGTH})`,
      integer(1),
    )
    .option('--limit <n>', 'train on the first n rows only (default: all)', integer(1))
    .option(
      '--columns <names>',
      'names of columns in the files, such as text=review,label=stars (default: the names of the task)',
      columnNames,
    )
    .option('--lora', 'train a LoRA adapter, and save it in the layout of PEFT')
    .option('--r <n>', 'rank of the adapter', integer(1), 8)
    .option(
      '--alpha <n>',
      `scale of the adapter: its output is multiplied by alpha / r (default: ${ALPHA_PER_RANK}r)`,
      positive,
    )
    .option('--lora-dropout <p>', "dropout of the adapter's input, from 0 to 1", share, 0)
    .option('--dora', 'use DoRA: learn the magnitude of each weight column beside the low-rank update')
    .option(
      '--targets <names>',
      "linear layers that get an adapter, separated by commas, or 'all-linear' (default: queries and values)",
    )
    .addOption(weightsOption())
    .option('--seed <n>', 'the same seed gives the same model', integer(0), 0)
    .option(
      '--patience <n>',
      'stop after n validations without improvement, and keep the best weights (default: never stop early)',
      integer(1),
    )
    .option('--resume', 'continue from the checkpoint in the folder')
    .addOption(new Option('--overwrite', 'replace an earlier model in the folder').conflicts('resume'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      example('finetune --model MODEL --task sequence-classification --data train.jsonl --out tuned --lora'),
    )
    .action(run);
}

async function run(options: FinetuneOptions, command: Command): Promise<void> {
  checkFolder(options);
  if (options.patience !== undefined && options.validation === undefined)
    command.error('error: --patience needs --validation');
  const ofAdapter = ADAPTER_FLAGS.find((name) => command.getOptionValueSource(name) === 'cli');
  if (!options.lora && ofAdapter !== undefined) {
    const flag = command.options.find((option) => option.attributeName() === ofAdapter);
    command.error(`error: ${flag?.long} needs --lora`);
  }
  const { weights } = options;
  if (!options.lora && !(weights === undefined || weights === 'float32' || weights === 'auto'))
    command.error(`error: --weights ${weights} needs --lora: packed weights are not learnt, adapters beside them are`);
  const task = FINETUNE_TASKS[options.task] as FinetuneTask;
  const { columns, limit } = options;
  const rows = await collect(options.data, { limit, columns });
  const heldOut = options.validation === undefined ? [] : await collect(options.validation, { columns });
  for (const rowSet of [rows, heldOut]) task.normalize?.(rowSet);
  using device = await openDevice(command);
  if (device.info.reason !== undefined) console.error(`Training in WebAssembly, slowly: ${device.info.reason}`);
  using stop = stopping();
  const head = task.head([...rows, ...heldOut]);
  const { signal } = stop;
  const onWarning: OnWarning = (message, code) => {
    if (code !== 'new-head' && code !== 'unused-weights') console.error(message); // a new head is expected here
  };
  using model = await loadModel(device, options.model, { ...head, weights, signal, onWarning });
  if (model.adapters.size > 0)
    throw new ArgumentError(
      `${options.model} is an adapter: convert it to a model with \`simdformer merge\`, and train that`,
    );
  const adapter = options.lora ? adapterOf(model, options) : null;
  using _folder = await lockFolder(options.out);
  checkFolder(options);
  const start = performance.now();
  const result = await train({ task, model, rows, heldOut, options, stop, head });
  await (adapter ?? model).save(options.out);
  if (result.reason === 'aborted' && stop.by !== undefined) process.exitCode = EXIT[stop.by];
  reportTraining(result, options, (performance.now() - start) / 1000, { validations: result.validations });
}

/** Makes the adapter that the options describe. */
function adapterOf(
  model: LoadedModel,
  { r, alpha = ALPHA_PER_RANK * r, loraDropout, dora, targets, seed, model: base }: FinetuneOptions,
): Lora {
  const names = targets === 'all-linear' ? targets : targets?.split(',').map((name) => name.trim());
  const adapter = lora(model, { r, alpha, dropout: loraDropout, dora, targets: names, seed });
  // With an absolute path, the base model is found from any working directory.
  if (model.origin && existsSync(base)) model.origin = { ...model.origin, from: resolve(base) };
  return adapter;
}

interface Training {
  readonly task: FinetuneTask;
  readonly model: LoadedModel;
  readonly rows: readonly FileRow[];
  readonly heldOut: readonly FileRow[];
  readonly options: FinetuneOptions;
  readonly stop: Stopping;
  readonly head: ReturnType<FinetuneTask['head']>;
}

/** Weight decay applies to matrices, but not to norms and biases. */
function optimizerOf(model: LoadedModel, weightDecay: number): AdamW {
  const trained = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  const isMatrix = ({ shape }: { shape: readonly number[] }) => shape.length > 1;
  const groups = [
    { params: trained.filter(isMatrix), weightDecay },
    { params: trained.filter((param) => !isMatrix(param)), weightDecay: 0 },
  ];
  return new AdamW(groups.filter(({ params }) => params.length > 0));
}

async function train({ task, model, rows, heldOut, options, stop, head }: Training): Promise<FitResult> {
  const { out, batch, epochs, accumulate, weightDecay, seed, maxLength, patience, resume } = options;
  const objective = task.objective(model, { maxLength });
  await checkRows(objective, rows);
  await checkRows(objective, heldOut);
  await rememberSettings(options, head);
  const perEpoch = Math.ceil(rows.length / batch);
  const steps = Math.ceil((epochs * perEpoch) / accumulate);
  using optimizer = optimizerOf(model, weightDecay);
  const log = new TrainingLog(join(out, 'log.jsonl'), stop.now);
  const progress = showProgress('tokens');
  const { signal } = stop;
  const validating = heldOut.length > 0 && {
    validate: async () => {
      const metrics = await task.evaluate(model, heldOut, { maxLength, signal });
      return patience === undefined ? metrics : { ...metrics, error: errorOf(metrics) };
    },
    validateEvery: Math.max(1, Math.floor(perEpoch / accumulate)),
    ...(patience !== undefined && { earlyStopping: { metric: 'error', patience } }),
  };
  try {
    const result = await fit(objective, rows, {
      batchSize: batch,
      steps,
      gradientAccumulation: accumulate,
      schedule: linearDecay(rateOf(options), { steps, warmup: Math.floor(options.warmup * steps) }),
      optimizer,
      seed,
      checkpoint: checkpointIn(out),
      resume,
      signal,
      ...validating,
      onStep(step) {
        progress.onStep(step);
        log.onStep(step);
      },
      async onValidation(validation) {
        progress.onValidation(validation);
        log.onValidation(validation);
        await log.draw();
      },
    });
    await log.end(result);
    return result;
  } catch (error) {
    throw withAdvice(error, 'Lower --lr');
  } finally {
    progress.stop();
  }
}

/** Returns the metric for early stopping: the loss, or else 1 minus another metric. */
function errorOf({ loss, spearman, f1, accuracy = 0 }: Readonly<Record<string, number>>): number {
  return loss ?? 1 - (spearman ?? f1 ?? accuracy);
}

/**
 * Saves the settings, so that a later resumption can be compared with them. Throws ArgumentError if this resumption has
 * different settings.
 */
async function rememberSettings(
  { resume, overwrite: _, json: __, out, ...trainingOptions }: FinetuneOptions,
  head: Training['head'],
): Promise<void> {
  const path = join(out, SETTINGS);
  const settings = { ...trainingOptions, head };
  if (resume && existsSync(checkpointIn(out))) {
    for (const change of changedSettings(path, settings)) console.error(`Changed: ${change}`);
  } else {
    if (resume) console.error(`There is no checkpoint in ${out}: starting from the beginning.`);
    if (existsSync(checkpointIn(out))) await unlink(await resolveLinks(checkpointIn(out)));
  }
  await writeWhole(path, `${JSON.stringify(settings, null, 1)}\n`);
}

/** Throws ArgumentError if the folder has another training or a model, unless --overwrite is given. */
function checkFolder({ out, resume, overwrite }: FinetuneOptions): void {
  if (overwrite || (resume && existsSync(checkpointIn(out)))) return;
  for (const [name, what] of [
    [CHECKPOINT_FILE, 'the checkpoint of another training: --resume goes on from it, --overwrite forgets it'],
    ['model.safetensors', 'a model already: --overwrite replaces it'],
    ['adapter_model.safetensors', 'an adapter already: --overwrite replaces it'],
  ] as const)
    if (existsSync(join(out, name))) throw new ArgumentError(`${out} contains ${what}`);
}
