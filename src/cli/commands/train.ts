import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { curvesSvg } from '../../inspect/svg.js';
import { fit, type Validation } from '../../train/fit.js';
import { duration, showProgress } from '../progress.js';
import { number, openDevice, positiveInteger, printJson } from '../shared.js';
import { prepareTask, readTask, TASKS } from '../tasks.js';

interface TrainOptions {
  out: string;
  data?: string;
  steps?: number;
  epochs?: number;
  batch?: number;
  seed?: number;
  resume?: boolean;
  json?: boolean;
}

/** Standard exit code of a program that Ctrl-C ended. */
const INTERRUPTED = 130;

export function trainCommand(): Command {
  return new Command('train')
    .description('train a model and save it, with its checkpoint, log and loss curve')
    .argument('<task>', `${TASKS.join(' or ')}, or a JSON file that configures one`)
    .requiredOption('-o, --out <folder>', 'where the model goes')
    .option('--data <file>', 'what to learn: lines of source, tab, target; or a text')
    .option('--steps <n>', 'steps to take', positiveInteger)
    .option('--epochs <n>', 'times to see all data', number)
    .option('--batch <n>', 'tokens in a batch; for characters, windows', positiveInteger)
    .option('--seed <n>', 'same seed, same model', number)
    .option('--resume', 'go on from the checkpoint in the folder')
    .option('--json', 'print the result as JSON')
    .action(async (taskName: string, options: TrainOptions, command: Command) => {
      using device = await openDevice(command);
      const { out, data, steps, epochs, batch, seed, resume } = options;
      const overrides = Object.entries({ data, steps, epochs, batch, seed }).filter(([, value]) => value !== undefined);
      const config = await readTask(taskName, Object.fromEntries(overrides));
      const task = await prepareTask(device, config);
      const { model } = task;
      await mkdir(out, { recursive: true });
      await writeFile(join(out, 'task.json'), `${JSON.stringify(task.config, null, 1)}\n`);
      const log = join(out, 'log.jsonl');
      if (!resume) await writeFile(log, '');

      const interrupted = new AbortController();
      const interrupt = () => interrupted.abort();
      process.once('SIGINT', interrupt);
      const progress = showProgress();
      const lines: string[] = [];
      const losses: [number, number][] = [];
      const note = (entry: object) => lines.push(`${JSON.stringify(entry)}\n`);
      const start = performance.now();
      const result = await fit(model, task.batches, {
        ...(({ labelSmoothing, clipNorm, averageLast, emaDecay, validateEvery }) => ({
          labelSmoothing,
          clipNorm,
          averageLast,
          emaDecay,
          validateEvery,
        }))(task.config),
        steps: task.steps,
        schedule: task.schedule,
        optimizer: task.optimizer,
        seed: task.config.seed,
        validate: task.validate,
        checkpoint: join(out, 'checkpoint.safetensors'),
        resume,
        signal: interrupted.signal,
        onStep(step) {
          progress.onStep(step);
          losses.push([step.step, step.loss]);
          note({ step: step.step, loss: step.loss, learningRate: step.learningRate, seconds: step.seconds });
        },
        onValidation: note,
      }).finally(() => {
        progress.stop();
        process.off('SIGINT', interrupt);
      });
      await appendFile(log, lines.join(''));
      await model.save(out);
      if (losses.length > 0) await writeFile(join(out, 'loss.svg'), lossCurves(losses, result.validations));
      const seconds = (performance.now() - start) / 1000;
      const metrics = result.validations.at(-1)?.metrics ?? {};
      if (result.reason === 'aborted') process.exitCode = INTERRUPTED;
      if (options.json) return printJson({ reason: result.reason, step: result.step, seconds, metrics, model: out });
      const measured = Object.entries(metrics).map(([name, value]) => `${name} ${value.toFixed(4)}`);
      const ending = result.reason === 'aborted' ? 'Stopped; --resume goes on.' : 'Done.';
      console.log(`${ending} Step ${result.step} after ${duration(seconds)}. ${measured.join(', ')}. Model: ${out}`);
    });
}

function lossCurves(losses: readonly [number, number][], validations: readonly Validation[]): string {
  const curves = [{ name: 'training loss', points: losses }];
  for (const name of Object.keys(validations[0]?.metrics ?? {})) {
    curves.push({
      name: `validation ${name}`,
      points: validations.map(({ step, metrics }) => [step, metrics[name] ?? Number.NaN]),
    });
  }
  return curvesSvg(curves, { x: 'step', y: 'loss' });
}
