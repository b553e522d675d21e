import type { Progress, Validation } from '../train/fit.js';
import { duration } from './duration.js';

/** Progress of a training: `fit` calls the first two methods, `stop` ends it. */
interface ProgressView {
  onStep(progress: Progress): void;
  onValidation(validation: Validation): void;
  stop(): void;
}

/** Factor of the exponential mean of losses. Single losses vary too much. */
const SMOOTHING = 0.9;
/** Seconds between two lines without a terminal. */
const LINE_EVERY = 5;
/** Milliseconds between two drawings of a bar. */
const DRAW_EVERY = 100;
const BAR_LENGTH = 20;
/** Columns of a terminal that does not tell its width. */
const DEFAULT_COLUMNS = 80;

/** The unit of speed. An example is a word for models that learn words. */
type Unit = 'tokens' | 'words';

/** Shows loss, speed and remaining time: as a bar on a terminal, as plain lines elsewhere. */
export function showProgress(unit: Unit): ProgressView {
  const stream = process.stderr;
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
  let text = '';
  let validation = '';
  let isDrawn = Number.NEGATIVE_INFINITY;
  // The bar must not change cursor or line wrapping, because a killed process could not restore them.
  const draw = () => stream.write(`\x1b[1G${text.slice(0, stream.columns || DEFAULT_COLUMNS)}\x1b[0K`);
  return {
    onStep(progress) {
      const { loss, speed, left } = describe(progress);
      const part = progress.step / progress.steps;
      const bar = '█'.repeat(Math.round(part * BAR_LENGTH)).padEnd(BAR_LENGTH, '░');
      text = `${bar} ${Math.floor(100 * part)}% | smoothed loss ${loss} | ${speed} | ${left} left${validation}`;
      if (performance.now() - isDrawn < DRAW_EVERY) return;
      isDrawn = performance.now();
      draw();
    },
    onValidation({ metrics }) {
      const [first] = Object.entries(metrics); // 80 columns have room for one
      if (first) validation = ` | validation ${first[0]} ${first[1].toFixed(4)}`;
    },
    stop() {
      if (text === '') return;
      draw();
      stream.write('\n');
    },
  };
}

/** Text such as "step 500, validation: loss 0.0733". For averaged weights, it tells if they are saved. */
function describeValidation({ step, metrics, averageIsKept }: Validation): string {
  if (averageIsKept === undefined) return `step ${step}, validation: ${list(metrics)}`;
  const outcome = averageIsKept ? 'better, saved' : 'not better, not saved';
  return `step ${step}, validation of the averaged weights: ${list(metrics)} (${outcome})`;
}

/** Text such as "wordError 0.2104, tokenError 0.0510". */
function list(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
}

function describer(unit: Unit) {
  let smoothed: number | undefined;
  let before = 0; // steps of the earlier run that this one continues
  return ({ step, steps, loss, tokens, examples, seconds }: Progress) => {
    if (smoothed === undefined) before = step - 1;
    smoothed = smoothed === undefined ? loss : SMOOTHING * smoothed + (1 - SMOOTHING) * loss;
    const left = (seconds / (step - before)) * (steps - step);
    const perSecond = Math.round((unit === 'words' ? examples : tokens) / seconds);
    return { loss: smoothed.toFixed(3), speed: `${perSecond} ${unit}/s`, left: duration(left) };
  };
}
