import { afterEvents } from '../../backend/after-events.js';
import { checkNumber, describeValue, isCount } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';

/** Zero crossings of the sinc on each side. */
const CROSSINGS = 64;
/** Kaiser's β, for a stop band of -100 dB. */
const BETA = 10;
/**
 * Frequency at which the filter's gain is ½, relative to half the lower rate. Frequencies up to 0.9 pass, and from 1 on
 * they are removed.
 */
const CUTOFF = 0.95;
/** Table points between two zero crossings; linear interpolation between them is exact to 3e-8. */
const POINTS = 4096;
/** Maximum number of cached kernels. 44.1 kHz to 16 kHz needs 441, and 32 kHz to 16 kHz needs 2. */
const KEPT = 1024;
/** Samples per slice of work, which takes a few milliseconds. */
const PART = 8192;

/**
 * Converts samples to another rate by a sinc in Kaiser's window (Smith, "Digital Audio Resampling", 2002). The duration
 * stays the same, rounded up to a sample. Frequencies up to 0.9 of half the lower rate pass, and those above half of it
 * are removed. Both rates are integers, in hertz. Throws ArgumentError for other rates, and for values that are not a
 * Float32Array.
 */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  const parts = resampling(samples, from, to);
  for (;;) {
    const { value, done } = parts.next();
    if (done) return value;
  }
}

/** Resamples while other events are handled. Rejects with the reason of `signal`. */
export async function resampleMeanwhile(
  samples: Float32Array,
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const parts = resampling(samples, from, to);
  for (;;) {
    const { value, done } = parts.next();
    if (done) return value;
    await new Promise<void>((resolve) => afterEvents(resolve));
    signal?.throwIfAborted();
  }
}

/** Stops after each part of the work. */
function* resampling(samples: Float32Array, from: number, to: number): Generator<void, Float32Array, void> {
  if (!isTyped(samples, 'Float32Array'))
    throw new ArgumentError(`resample: the samples are ${describeValue(samples)}, expected a Float32Array`);
  const isRate = (rate: number) => isCount(rate) && rate <= 1 << 20;
  checkNumber('resample', 'from', from, isRate, 'a rate in hertz, from 1 to 2²⁰');
  checkNumber('resample', 'to', to, isRate, 'a rate in hertz, from 1 to 2²⁰');
  if (from === to) return samples;
  const common = greatestCommonDivisor(from, to);
  const phases = to / common;
  const step = from / common;
  const cutoff = CUTOFF * Math.min(1, to / from);
  const halfWidth = Math.ceil(CROSSINGS / cutoff);
  const kept = new Map<number, Float64Array>();
  const result = new Float32Array(Math.ceil((samples.length * to) / from));
  for (let i = 0; i < result.length; i++) {
    if (i % PART === PART - 1) yield;
    const phase = (i * step) % phases;
    let kernel = kept.get(phase);
    if (kernel === undefined) {
      kernel = kernelAt(phase / phases, halfWidth, cutoff);
      if (kept.size < KEPT) kept.set(phase, kernel);
    }
    const first = (i * step - phase) / phases - halfWidth + 1;
    let sum = 0;
    const last = Math.min(kernel.length, samples.length - first);
    for (let k = Math.max(0, -first); k < last; k++) sum += (samples[first + k] as number) * (kernel[k] as number);
    result[i] = sum;
  }
  return result;
}

/**
 * Returns the filter's weights for `halfWidth` samples on each side of an output. The output is `offset` of a sample
 * after the last sample on its left.
 */
function kernelAt(offset: number, halfWidth: number, cutoff: number): Float64Array {
  windowed ??= windowedSinc();
  const kernel = new Float64Array(2 * halfWidth);
  for (let k = 0; k < kernel.length; k++) {
    const tablePosition = Math.abs(k - halfWidth + 1 - offset) * cutoff * POINTS;
    const point = Math.floor(tablePosition);
    if (point >= CROSSINGS * POINTS) continue;
    const left = windowed[point] as number;
    kernel[k] = cutoff * (left + (tablePosition - point) * ((windowed[point + 1] as number) - left));
  }
  return kernel;
}

let windowed: Float64Array | undefined;

/** sinc(x) · I₀(β·√(1 − (x / crossings)²)) / I₀(β), for x from 0 to the last crossing. */
function windowedSinc(): Float64Array {
  const table = new Float64Array(CROSSINGS * POINTS + 1);
  for (let i = 0; i < table.length; i++) {
    const x = i / POINTS;
    const sinc = i === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    table[i] = (sinc * bessel(BETA * Math.sqrt(1 - (x / CROSSINGS) ** 2))) / bessel(BETA);
  }
  return table;
}

/** I₀, the modified Bessel function of order 0, by its power series. */
function bessel(x: number): number {
  let sum = 1;
  for (let k = 1, term = 1; term > sum * 2 ** -53; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
