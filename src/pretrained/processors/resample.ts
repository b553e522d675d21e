import { afterEvents } from '../../backend/after-events.js';
import { checkNumber, describeValue, isCount } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';

/** Zero crossings of the sinc on each side. */
const CROSSINGS = 64;
/** Kaiser's β: what is beyond half a rate is 100 dB lower. */
const BETA = 10;
/** The frequency of half the filter's height, as a part of half the lower rate. From 1 on everything is gone, up to 0.9 nothing. */
const CUTOFF = 0.95;
/** Points between two crossings; lines between them are off by 3e-8. */
const POINTS = 4096;
/** The most kernels that are kept: 441 for 44.1 kHz to 16, 2 for 32. */
const KEPT = 1024;
/** Samples that take a few milliseconds. */
const PART = 8192;

/**
 * Samples at another rate, by a sinc in Kaiser's window (Smith, "Digital Audio Resampling", 2002): as many as take the same time, rounded
 * up. Frequencies up to 0.9 of half the lower rate stay, those above half of it go. Both rates are integers, in hertz. Throws
 * ArgumentError for others, and for what is no Float32Array.
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
  const common = greatestDivisor(from, to);
  const phases = to / common;
  const step = from / common;
  const cutoff = CUTOFF * Math.min(1, to / from);
  const reach = Math.ceil(CROSSINGS / cutoff);
  const kept = new Map<number, Float64Array>();
  const result = new Float32Array(Math.ceil((samples.length * to) / from));
  for (let i = 0; i < result.length; i++) {
    if (i % PART === PART - 1) yield;
    const phase = (i * step) % phases;
    let kernel = kept.get(phase);
    if (kernel === undefined) {
      kernel = kernelAt(phase / phases, reach, cutoff);
      if (kept.size < KEPT) kept.set(phase, kernel);
    }
    const first = (i * step - phase) / phases - reach + 1;
    let sum = 0;
    const last = Math.min(kernel.length, samples.length - first);
    for (let k = Math.max(0, -first); k < last; k++) sum += (samples[first + k] as number) * (kernel[k] as number);
    result[i] = sum;
  }
  return result;
}

/** The weights of `reach` samples on each side of a place that lies `offset` of a sample behind the last of the left ones. */
function kernelAt(offset: number, reach: number, cutoff: number): Float64Array {
  windowed ??= windowedSinc();
  const kernel = new Float64Array(2 * reach);
  for (let k = 0; k < kernel.length; k++) {
    const at = Math.abs(k - reach + 1 - offset) * cutoff * POINTS;
    const point = Math.floor(at);
    if (point >= CROSSINGS * POINTS) continue;
    const left = windowed[point] as number;
    kernel[k] = cutoff * (left + (at - point) * ((windowed[point + 1] as number) - left));
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

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
