// describeOp: the whole test of an op. For every instruction set of this machine and every case, it compares the op
// with its float64 reference. It covers forward and backward, with contiguous and strided inputs. Every number of
// threads must give the same bits, and WebAssembly in Node must agree with the addon. Gradients are compared with
// finite differences of the reference, so only the reference has to be written.

import { describe, expect, it } from 'vitest';
import type { InstructionSet } from '../src/backend/backend.js';
import { environment, isNode } from '../src/backend/node.js';
import { createDevice, type Device, type Shape, type Tensor } from '../src/index.js';
import { Random, sizeOf, type Values } from './random.js';
import type { Reals } from './reference/reals.js';
import { sharedDevice } from './shared-devices.js';
import { allowedError, assertClose, conditionOf, largest } from './tolerance.js';

type Inputs = Readonly<Record<string, Values | null>>;
type TensorsOf<In> = { readonly [K in keyof In]: Tensor | Extract<In[K], null> };
type RealsOf<In> = {
  readonly [K in keyof In]:
    | (NonNullable<In[K]> extends Values<Int32Array> ? Reals<Int32Array> : Reals)
    | Extract<In[K], null>;
};

export interface OpDescription<Case, In extends Inputs> {
  readonly name: string;
  /** Sizes or options, whatever `inputs`, `forward` and `reference` want to know. */
  readonly cases: readonly Case[];
  /** Null for an optional input that the case leaves out. */
  inputs(sizes: Case, random: Random): In;
  forward(tensors: TensorsOf<In>, sizes: Case): Tensor;
  /** The reference in float64. Integer inputs come as Int32Array. */
  reference(arrays: RealsOf<In>, sizes: Case): Reals;
  /** Inputs to differentiate. */
  readonly gradients?: readonly (keyof In & string)[];
  /** The gradients in float64, where finite differences would be too slow or meet too many kinks. */
  gradient?(arrays: RealsOf<In>, upstream: Float64Array, sizes: Case): Partial<Record<keyof In, Float64Array>>;
  /** The number of terms in the op's longest sum, forward or backward. Default: 1, an elementwise op. */
  tolerance?(sizes: Case): number;
  /**
   * Size of the terms that the backward formula subtracts from each other. Cases need it if the terms cancel so well
   * that the gradient does not show their size (the normalization of two values). Default: 0.
   */
  cancelling?(arrays: RealsOf<In>, sizes: Case): number;
}

const isWasm = !isNode || environment('SIMDFORMER_BACKEND') === 'wasm';

/**
 * Numbers of threads that must give the same bits. WebAssembly tests fewer than the addon, which cuts work at the same
 * places. Pages that are not cross-origin isolated have no threads.
 */
const threadCounts = globalThis.crossOriginIsolated === false ? [1] : isWasm ? [1, 3] : [1, 2, 3, 8];

/** One device for each instruction set and number of threads, shared by the ops of a file. */
export function deviceFor(isa: string, threads: number): Promise<Device> {
  return sharedDevice(`${isa} ${threads}`, () => createDevice({ isa: isa as InstructionSet, threads }));
}

/** Every instruction set that this machine and build have. */
export const isas = await createDevice({ threads: 1 }).then((device) => {
  device.dispose();
  return device.info.isas;
});

/** The device that WebAssembly is compared with. */
const addon =
  environment('SIMDFORMER_BACKEND') === 'wasm' ? await createDevice({ backend: 'native', threads: 1 }) : null;

/** Sizes around what kernels step by: 1, width ± 1, tile ± 1, and a tile with a remainder. Ascending, each once. */
export function edges(width = 16, tile = 32): number[] {
  const sizes = [1, width - 1, width, width + 1, tile - 1, tile, tile + 1, tile + width + 1];
  return [...new Set(sizes.filter((size) => size > 0))].sort((a, b) => a - b);
}

const label = (sizes: unknown) => JSON.stringify(sizes).replaceAll('"', '');

export function describeOp<Case, In extends Inputs>(op: OpDescription<Case, In>): void {
  describe(op.name, () => {
    const prepared = new Map<Case, Expected<In>>();
    const exercised = new Set<string>();
    for (const isa of isas) {
      it.each(op.cases.map((sizes) => [label(sizes), sizes] as const))(`${isa} %s`, async (_, sizes) => {
        if (!prepared.has(sizes)) prepared.set(sizes, prepare(op, sizes));
        const expected = prepared.get(sizes)!;
        const first = await runOn(await deviceFor(isa, 1), op, sizes, expected, 'plain');
        check('', first, expected);
        check('on strided inputs: ', await runOn(await deviceFor(isa, 1), op, sizes, expected, 'strided'), expected);
        for (const threads of threadCounts.slice(1)) {
          const result = await runOn(await deviceFor(isa, threads), op, sizes, expected, 'plain');
          expectSameBits(`${threads} threads`, result, first);
        }
        if (addon !== null) expectAgreement(first, await runOn(addon, op, sizes, expected, 'plain'), expected);
        exercised.add((await deviceFor(isa, 1)).info.isa);
      });
    }
    it('ran on every instruction set of this machine', () => expect([...exercised].sort()).toEqual([...isas].sort()));
  });
}

/** Expected results of a case, computed once for all instruction sets. */
interface Expected<In> {
  readonly inputs: In;
  readonly upstream: Float32Array;
  readonly output: Reals;
  readonly outputError: Float64Array;
  readonly gradients: Map<string, ExpectedGradient>;
}

interface ExpectedGradient {
  /** Positions in the gradient that were computed. */
  readonly at: number[];
  readonly values: Float64Array;
  readonly errors: Float64Array;
}

function prepare<Case, In extends Inputs>(op: OpDescription<Case, In>, sizes: Case): Expected<In> {
  const random = new Random(`${op.name} ${label(sizes)}`);
  const inputs = op.inputs(sizes, random);
  const length = op.tolerance?.(sizes) ?? 1;
  const output = op.reference(widen(inputs), sizes);
  expect(output.data.length, 'values of the reference').toBe(sizeOf(output.shape));
  const upstream = random.normal(output.shape).data;
  const evaluate = (jitter: () => number) => op.reference(widen(inputs, jitter), sizes).data;
  const condition = conditionOf(evaluate, () => random.sign());
  return {
    inputs,
    upstream,
    output,
    outputError: output.data.map((y, i) => allowedError(length, Math.abs(y) + condition[i]!)),
    gradients: op.gradient
      ? analyticGradients(op, sizes, inputs, upstream, random)
      : finiteDifferences(op, sizes, inputs, upstream, random),
  };
}

/** The inputs in float64, float elements multiplied by what `jitter` hands out. */
function widen<In extends Inputs>(inputs: In, jitter?: () => number): RealsOf<In> {
  const wide = Object.entries(inputs).map(([name, input]) => {
    if (input === null || input.data instanceof Int32Array) return [name, input];
    const data = Float64Array.from(input.data);
    return [name, { shape: input.shape, data: jitter ? data.map((x) => x * jitter()) : data }];
  });
  return Object.fromEntries(wide) as RealsOf<In>;
}

function analyticGradients<Case, In extends Inputs>(
  op: OpDescription<Case, In>,
  sizes: Case,
  inputs: In,
  upstream: Float32Array,
  random: Random,
): Map<string, ExpectedGradient> {
  const length = op.tolerance?.(sizes) ?? 1;
  const cancelling = op.cancelling?.(widen(inputs), sizes) ?? 0;
  const expected = new Map<string, ExpectedGradient>();
  for (const name of namesOf(op, inputs)) {
    const evaluate = (jitter: () => number) =>
      op.gradient!(
        widen(inputs, jitter),
        Float64Array.from(upstream, (dy) => dy * jitter()),
        sizes,
      )[name]!;
    const values = evaluate(() => 1);
    const condition = conditionOf(evaluate, () => random.sign());
    const floor = largest(values) + cancelling;
    const errors = values.map((g, i) => allowedError(length, Math.abs(g) + condition[i]! + floor));
    expected.set(name, { at: [...values.keys()], values, errors });
  }
  return expected;
}

/** Inputs to differentiate that the case has. */
function namesOf<Case, In extends Inputs>(op: OpDescription<Case, In>, inputs: In): string[] {
  return (op.gradients ?? []).filter((name) => inputs[name] !== null);
}

/**
 * Maximum number of elements per input that are tested by finite differences. WebAssembly tests fewer than the addon,
 * which runs the same kernels.
 */
const samples = addon === null ? 24 : 8;

/**
 * ∂(Σ upstream·y)/∂x by central differences, exact to about 1e-9. Their terms also give the magnitude that cancels in the
 * sum. Elements with a kink within the step (a relu's zero) have no derivative to compare with and are left out.
 */
function finiteDifferences<Case, In extends Inputs>(
  op: OpDescription<Case, In>,
  sizes: Case,
  inputs: In,
  upstream: Float32Array,
  random: Random,
): Map<string, ExpectedGradient> {
  const step = 2 ** -14;
  const length = op.tolerance?.(sizes) ?? 1;
  const cancelling = op.cancelling?.(widen(inputs), sizes) ?? 0;
  const expected = new Map<string, ExpectedGradient>();
  for (const name of namesOf(op, inputs)) {
    const arrays = widen(inputs);
    const x = (arrays[name] as Reals).data;
    const centre = op.reference(arrays, sizes).data;
    const at: number[] = [];
    const values: number[] = [];
    const magnitudes: number[] = [];
    const chosen = choose(x.length, random);
    for (const i of chosen) {
      const before = x[i]!;
      x[i] = before + step;
      const above = op.reference(arrays, sizes).data;
      x[i] = before - step;
      const below = op.reference(arrays, sizes).data;
      x[i] = before;
      let gradient = 0;
      let magnitude = 0;
      let steepest = 0;
      let bend = 0;
      for (let j = 0; j < centre.length; j++) {
        const slope = (above[j]! - below[j]!) / (2 * step);
        gradient += upstream[j]! * slope;
        magnitude += Math.abs(upstream[j]! * slope);
        steepest = Math.max(steepest, Math.abs(slope));
        bend = Math.max(bend, Math.abs(above[j]! - 2 * centre[j]! + below[j]!) / step);
      }
      if (bend > steepest / 512 && bend > 1e-9) continue; // a smooth function bends by step · y″
      at.push(i);
      values.push(gradient);
      magnitudes.push(magnitude);
    }
    if (at.length < chosen.length * 0.75) throw new Error(`${name}: too many kinks, give inputs away from them`);
    const floor = largest(values) + cancelling;
    // The differences are of numbers that were rounded to 53 bits each.
    const rounding =
      centre.reduce((sum: number, y: number, j: number) => sum + Math.abs(upstream[j]! * y), 0) *
      (Number.EPSILON / step);
    const errors = Float64Array.from(magnitudes, (magnitude) => allowedError(length, magnitude + floor) + rounding);
    expected.set(name, { at, values: Float64Array.from(values), errors });
  }
  return expected;
}

function choose(size: number, random: Random): number[] {
  if (size <= samples) return Array.from({ length: size }, (_, i) => i);
  const chosen = new Set([0, size - 1]);
  while (chosen.size < samples) chosen.add(random.below(size));
  return [...chosen];
}

interface Result {
  readonly shape: Shape;
  readonly output: Float32Array;
  readonly gradients: Map<string, Float32Array>;
  /** After the same backward once more. */
  readonly accumulated: Map<string, Float32Array>;
}

async function runOn<Case, In extends Inputs>(
  device: Device,
  op: OpDescription<Case, In>,
  sizes: Case,
  { inputs, upstream, output: { shape } }: Expected<In>,
  layout: 'plain' | 'strided',
): Promise<Result> {
  const differentiate = namesOf(op, inputs);
  const leaves: Tensor[] = [];
  const tensors = Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => {
      if (input === null) return [name, null];
      const tensor = layout === 'plain' ? device.tensor(input.data, input.shape) : strided(device, input);
      tensor.root.requiresGrad = differentiate.includes(name);
      leaves.push(tensor);
      return [name, tensor];
    }),
  ) as TensorsOf<In>;
  const seeded = device.tensor(upstream, shape);
  const forward = () => {
    const y = op.forward(tensors, sizes);
    if (differentiate.length > 0) y.backward(seeded);
    return y;
  };
  const readGradients = async () => {
    const gradients = new Map<string, Float32Array>();
    for (const name of differentiate) {
      const { grad } = tensors[name] as Tensor;
      if (grad === null) throw new Error(`${name} has no gradient after backward()`);
      gradients.set(name, (await grad.data()) as Float32Array);
    }
    return gradients;
  };

  const y = device.scope(forward);
  const output = (await y.data()) as Float32Array;
  const gradients = await readGradients();
  device.scope(forward).dispose();
  const accumulated = await readGradients();
  for (const [name, input] of Object.entries(inputs)) {
    if (input) expect(await (tensors[name as keyof In] as Tensor).data(), `${name} afterwards`).toEqual(input.data);
  }
  for (const tensor of [...leaves.flatMap((leaf) => [leaf, leaf.root]), seeded, y]) tensor.dispose();
  return { shape: y.shape, output, gradients, accumulated };
}

/** Copies the values into columns of a wider tensor, so that rows lie apart and begin at odd addresses. */
function strided(device: Device, { data, shape }: Values): Tensor {
  if (data instanceof Int32Array || shape.length === 0) return device.tensor(data, shape);
  const cols = shape[shape.length - 1]!;
  const wide = new Float32Array((data.length / cols) * (cols + 5)).fill(Number.NaN);
  for (let row = 0; row * cols < data.length; row++) {
    wide.set(data.subarray(row * cols, (row + 1) * cols), row * (cols + 5) + 3);
  }
  return device.tensor(wide, [...shape.slice(0, -1), cols + 5]).columns(3, 3 + cols);
}

function check<In>(where: string, result: Result, expected: Expected<In>): void {
  expect(result.shape, `${where}shape`).toEqual(expected.output.shape);
  assertClose(`${where}output`, result.output, expected.output.data, (i) => expected.outputError[i]!);
  for (const [name, { at, values, errors }] of expected.gradients) {
    const gradient = result.gradients.get(name)!;
    const picked = at.map((i) => gradient[i]!);
    assertClose(`${where}gradient of ${name}`, picked, values, (i) => errors[i]!);
    const twice = at.map((i) => result.accumulated.get(name)![i]! / 2);
    assertClose(`${where}gradient of ${name}, accumulated`, twice, values, (i) => 2 * errors[i]!);
  }
}

/** Errors that are independent of each other, as those of two backends, differ by √2 times what each is allowed. */
function expectAgreement<In>(actual: Result, addon: Result, expected: Expected<In>): void {
  const apart = (errors: Float64Array) => (i: number) => Math.SQRT2 * errors[i]!;
  assertClose('output, not as by the addon', actual.output, addon.output, apart(expected.outputError));
  for (const [name, { at, errors }] of expected.gradients) {
    const [ours, theirs] = [actual, addon].map(({ gradients }) => at.map((i) => gradients.get(name)![i]!));
    assertClose(`gradient of ${name}, not as by the addon`, ours!, theirs!, apart(errors));
  }
}

function expectSameBits(what: string, actual: Result, expected: Result): void {
  const bits = (values: Float32Array) => new Int32Array(values.buffer, values.byteOffset, values.length);
  const compare = (name: string, a: Float32Array, b: Float32Array) => {
    const [words, others] = [bits(a), bits(b)];
    const at = words.findIndex((word, i) => word !== others[i]);
    if (at >= 0) throw new Error(`${name} with ${what} differs from one thread at ${at}: ${a[at]}, not ${b[at]}`);
  };
  compare('output', actual.output, expected.output);
  for (const [name, gradient] of expected.gradients) {
    compare(`gradient of ${name}`, actual.gradients.get(name)!, gradient);
    compare(`gradient of ${name}, accumulated`, actual.accumulated.get(name)!, expected.accumulated.get(name)!);
  }
}
