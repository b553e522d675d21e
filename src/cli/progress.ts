import cliProgress from 'cli-progress';
import type { Progress } from '../train/fit.js';

/** Shows a training run: `onStep` is for `fit`, `stop` ends it. */
export interface ProgressView {
  onStep(progress: Progress): void;
  stop(): void;
}

/** Single losses differ too much to be read; shown is their exponential mean. */
const SMOOTHING = 0.9;
/** Seconds between two lines where there is no terminal. */
const LINE_EVERY = 5;

/** A bar with loss, words per second and time left on a terminal; plain lines where `stream` is something else. */
export function showProgress(stream: NodeJS.WriteStream = process.stderr): ProgressView {
  const describe = describer();
  if (!stream.isTTY) {
    let next = 0;
    return {
      onStep(progress) {
        const { loss, words, left } = describe(progress);
        if (progress.seconds < next && progress.step < progress.steps) return;
        next = progress.seconds + LINE_EVERY;
        stream.write(`step ${progress.step}/${progress.steps}, loss ${loss}, ${words} words/s, ${left} left\n`);
      },
      stop() {},
    };
  }
  const format = '{bar} {percentage}% | loss {loss} | {words} words/s | {left} left';
  const bar = new cliProgress.SingleBar(
    { stream, format, hideCursor: true, barsize: 28 },
    cliProgress.Presets.shades_classic,
  );
  let started = false;
  return {
    onStep(progress) {
      const shown = describe(progress);
      if (!started) bar.start(progress.steps, 0, shown);
      started = true;
      bar.update(progress.step, shown);
    },
    stop: () => bar.stop(),
  };
}

function describer() {
  let smoothed: number | undefined;
  let before = 0; // steps of an earlier run that this one goes on from
  return ({ step, steps, loss, examples, seconds }: Progress) => {
    if (smoothed === undefined) before = step - 1;
    smoothed = smoothed === undefined ? loss : SMOOTHING * smoothed + (1 - SMOOTHING) * loss;
    const left = (seconds / (step - before)) * (steps - step);
    return { loss: smoothed.toFixed(3), words: Math.round(examples / seconds), left: duration(left) };
  };
}

/** "48 s", "3 min 05 s". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}
