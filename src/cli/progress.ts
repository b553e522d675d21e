import cliProgress from 'cli-progress';
import type { Progress, Validation } from '../train/fit.js';
import { duration } from './duration.js';

/** Shows a training run: `fit` calls the first two, `stop` ends it. */
interface ProgressView {
  onStep(progress: Progress): void;
  onValidation(validation: Validation): void;
  stop(): void;
}

/** The exponential mean of the losses is shown, because single ones differ too much. */
const SMOOTHING = 0.9;
/** Seconds between two lines where there is no terminal. */
const LINE_EVERY = 5;

/** The unit of speed. An example is a word for models that learn words. */
type Unit = 'tokens' | 'words';

/** A bar with loss, speed and time left on a terminal that can draw one; plain lines where `stream` is something else. */
export function showProgress(unit: Unit = 'tokens', stream: NodeJS.WriteStream = process.stderr): ProgressView {
  const describe = describer(unit);
  if (!stream.isTTY || process.env.TERM === 'dumb') {
    let next = 0;
    return {
      onStep(progress) {
        const { loss, speed, left } = describe(progress);
        if (progress.seconds < next && progress.step < progress.steps) return;
        next = progress.seconds + LINE_EVERY;
        stream.write(`step ${progress.step}/${progress.steps}, smoothed loss ${loss}, ${speed}, ${left} left\n`);
      },
      onValidation: (validation) => void stream.write(`${describeValidation(validation)}\n`),
      stop() {},
    };
  }
  const format = '{bar} {percentage}% | smoothed loss {loss} | {speed} | {left} left{validation}';
  // A killed process could not restore the cursor and line wrapping.
  const bar = new cliProgress.SingleBar(
    { stream, format, hideCursor: false, linewrap: true, barsize: 20 },
    cliProgress.Presets.shades_classic,
  );
  let started = false;
  let validation = '';
  return {
    onStep(progress) {
      const shown = { ...describe(progress), validation };
      if (!started) bar.start(progress.steps, 0, shown);
      started = true;
      bar.update(progress.step, shown);
    },
    onValidation({ metrics }) {
      const [first] = Object.entries(metrics); // one has room in 80 columns
      if (first) validation = ` | validation ${first[0]} ${first[1].toFixed(4)}`;
    },
    stop: () => bar.stop(),
  };
}

/** "step 500, validation: loss 0.0733", or the same of an average of weights, with whether it is saved. */
function describeValidation({ step, metrics, averageIsKept }: Validation): string {
  if (averageIsKept === undefined) return `step ${step}, validation: ${list(metrics)}`;
  const outcome = averageIsKept ? 'better, saved' : 'not better, not saved';
  return `step ${step}, validation of the averaged weights: ${list(metrics)} (${outcome})`;
}

/** "wordError 0.2104, tokenError 0.0510". */
function list(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function describer(unit: Unit) {
  let smoothed: number | undefined;
  let before = 0; // steps of an earlier run that this one goes on from
  return ({ step, steps, loss, tokens, examples, seconds }: Progress) => {
    if (smoothed === undefined) before = step - 1;
    smoothed = smoothed === undefined ? loss : SMOOTHING * smoothed + (1 - SMOOTHING) * loss;
    const left = (seconds / (step - before)) * (steps - step);
    const perSecond = Math.round((unit === 'words' ? examples : tokens) / seconds);
    return { loss: smoothed.toFixed(3), speed: `${perSecond} ${unit}/s`, left: duration(left) };
  };
}
