// Reverse-mode differentiation. An op that can be differentiated leaves a Node at its outputs; backward() visits the
// nodes that led to a tensor, newest first, and each one emits its backward commands into the same queue as the forward
// ones.
//
// Gradients live at roots: a view's gradient is its part of the root's. The first writer of a gradient assigns and
// later ones accumulate, so nothing is zeroed beforehand.

import { checkDType, checkFunction, checkSynchronous, checkTensor, checkTensorList, describeShape } from './check.js';
import { AutogradError, ShapeError } from './errors.js';
import { GradientSlot } from './gradient-slot.js';
import type { Pool } from './heap.js';
import { lastOf, sameShape } from './shape.js';
import type { Storage } from './storage.js';
import { type Gradient, type GradientTarget, type Node, Tensor } from './tensor.js';
import { type TensorData, valuesFor } from './tensor-data.js';

export type { GradientTarget } from './tensor.js';

/**
 * What a scope would have disposed of but its results' graphs still need. Each result lets go of it once, when its
 * graph is used or it is disposed of itself; the last one frees it.
 */
export class Keeping {
  constructor(
    private readonly tensors: readonly Tensor[],
    private holders: number,
  ) {}

  letGo(): void {
    if (--this.holders === 0) for (const tensor of this.tensors) tensor.dispose();
  }
}

/**
 * Registers how to differentiate `output = f(inputs)`, if gradients are on and an input requires one, and returns
 * `output`. `backward` receives `dy`, the gradient of the output, contiguous and in the output's shape, and emits
 * commands; it asks `gradOf(input)` where to put each result. Every tensor it uses stays alive until then. What it reads
 * beside inputs and output, such as ids, is named by `reads`, for backward() to notice if that was written to.
 */
export function differentiable(
  output: Tensor,
  inputs: readonly (Tensor | null | undefined)[],
  backward: (dy: Tensor) => void,
  reads: readonly (Tensor | null | undefined)[] = [],
): Tensor {
  const emit = ([dy]: (Tensor | null)[]) => {
    if (dy) backward(dy);
  };
  differentiableMany([output], inputs, emit, reads);
  return output;
}

/** As `differentiable` for several outputs; the gradient of an output that nobody used is null. */
export function differentiableMany(
  outputs: readonly Tensor[],
  inputs: readonly (Tensor | null | undefined)[],
  backward: (gradients: (Tensor | null)[]) => void,
  reads: readonly (Tensor | null | undefined)[] = [],
): void {
  if (!isDifferentiated(inputs)) return;
  const { device } = outputs[0] as Tensor;
  const spent = inputs.find((input) => input?.root.spent) ?? undefined;
  const read = [...inputs, ...reads, ...outputs].filter((tensor) => tensor !== null && tensor !== undefined);
  const node: Node = {
    sequence: device.nextSequence(),
    inputs: inputs.filter((input): input is Tensor => input?.requiresGrad === true),
    outputs,
    read,
    versions: read.map(({ storage }) => versionOf(storage, device.arena)),
    arena: device.arena,
    backward,
    spent,
    holders: [],
  };
  for (const output of outputs) output.root.node = node;
}

/** Whether an op of these inputs is to be differentiated, and must keep what its backward needs. */
export function isDifferentiated(inputs: readonly (Tensor | null | undefined)[]): boolean {
  return inputs.some((input) => input?.requiresGrad && input.device.gradientsOn);
}

/**
 * @internal In a backward: where the gradient of `x` goes, or null if it needs none. Call it once for each command that writes
 * it.
 */
export function gradOf(x: Tensor | null | undefined): GradientTarget | null {
  if (!x?.requiresGrad) return null;
  return slotOf(x.root).targetFor(x);
}

/** @internal The `accumulate` operand of a backward command: bit i says that the i-th gradient is added to what is there. */
export function accumulateBits(...targets: (GradientTarget | null)[]): number {
  return targets.reduce((bits, target, i) => bits | ((target?.accumulate ?? 0) << i), 0);
}

/** @internal In a backward: adds `dy` itself to the gradient of `x`, without a copy where nothing else needs `dy`'s memory. */
export function passGrad(x: Tensor | null | undefined, dy: Tensor): void {
  if (!x?.requiresGrad) return;
  const unused = x.root === x && x.gradient === null && x.node !== null;
  // Two references: the slot of the output, which ends with this backward, and its tensor.
  if (unused && dy.storage.references === 2 && dy.root === dy && dy.isContiguous) {
    x.gradient = new GradientSlot(x, x.device.keep(dy.reshape(x.shape))); // `x` may be older than the scope
    x.gradient.targetFor(x);
  } else addGrad(x, dy);
}

/** Adds a copy of `dy` to the gradient of `x`. */
function addGrad(x: Tensor, dy: Tensor): void {
  copy(dy, slotOf(x.root).targetFor(x));
}

function copy(x: Tensor, { tensor, accumulate }: GradientTarget): void {
  const cols = lastOf(tensor.shape);
  const strides = { xStride: x.rowStride, yStride: tensor.rowStride };
  x.device.emit('copy', { x, y: tensor, rows: tensor.size / cols, cols, ...strides, accumulate });
}

/** Where the gradient of a root goes. */
export function slotOf(root: Tensor): Gradient {
  if (root.gradient?.tensor.disposed) dropGradient(root); // by whoever was given it as `grad`
  if (root.gradient === null) {
    if (root.node === null) root.assertUsable('backward'); // as a view of it may be: nobody would free the gradient
    const device = root.device;
    // A leaf's gradient is the caller's to keep, beyond scopes and recordings; the others end with backward().
    const make = () => device.empty(root.shape);
    const tensor = root.node === null ? device.unscoped(make) : device.keep(make());
    root.gradient = new GradientSlot(root, tensor);
  }
  if (root.node === null) root.device.noteGradient(root.gradient);
  return root.gradient;
}

/**
 * Calls `fn` without keeping what its backward needs, and calls it again when that comes: gradient checkpointing (Chen
 * et al. 2016, arXiv 1604.06174), which trades one more forward pass of this part for the memory of its inner results.
 * `inputs` are all tensors that `fn` uses; it must compute the same both times, and returns one tensor, which may have any
 * shape. Throws ArgumentError if `inputs` is empty or `fn` asynchronous.
 */
export function recompute(inputs: readonly Tensor[], fn: () => Tensor): Tensor {
  checkFunction('recompute', fn);
  const device = checkTensorList('recompute', 'inputs', inputs);
  if (!device.gradientsOn) return fn();
  const y = device.noGrad(() => device.scope(() => checkSynchronous('recompute', fn())));
  checkTensor('recompute', 'what fn returned', y);
  // fn did nothing, as dropout does where p is 0.
  if (y.requiresGrad || inputs.some(({ root }) => root === y.root)) return y;
  return differentiable(y, inputs, (dy) => {
    device.scope(() => {
      const since = device.nextSequence();
      const again = device.withGrad(fn);
      if (again.requiresGrad) backward(again, dy, since);
    });
  });
}

/**
 * See `Tensor.backward`. Nodes older than `since` are left to the caller. `onFinal` is told of every leaf once all
 * commands that write its gradient are queued, so that what is done with it can begin while the rest of the pass runs.
 */
export function backward(y: Tensor, upstream?: Tensor | TensorData, since = 0, onFinal?: (leaf: Tensor) => void): void {
  y.assertUsable('backward');
  if (!y.requiresGrad) {
    throw new AutogradError(
      'backward: nothing that led to this tensor requires a gradient, or its graph was used before',
    );
  }
  const device = y.device;
  const nodes = y.root.node === null ? [] : reach(y.root.node, since);
  const leaves = new Set([y, ...nodes.flatMap(({ inputs }) => inputs)].map(({ root }) => root));
  const uses = onFinal && usesOf(nodes);
  device.noGrad(() =>
    device.scope(() => {
      seed(y, upstream);
      try {
        for (const node of nodes) {
          const gradients = node.outputs.map(finished);
          if (gradients.some((gradient) => gradient !== null)) {
            assertUnchanged(node);
            node.backward?.(gradients);
          }
          for (const output of node.outputs) dropGradient(output.root);
          if (uses) for (const leaf of lastUses(node, uses)) onFinal?.(leaf);
        }
      } finally {
        for (const node of nodes) release(node);
        for (const leaf of leaves) if (leaf.node === null && leaf.gradient?.written) leaf.gradient.complete();
      }
    }),
  );
}

/** How many inputs of nodes lie in each leaf. */
function usesOf(nodes: readonly Node[]): Map<Tensor, number> {
  const uses = new Map<Tensor, number>();
  for (const { inputs } of nodes)
    for (const { root } of inputs) if (root.node === null) uses.set(root, (uses.get(root) ?? 0) + 1);
  return uses;
}

/** The leaves that no node after this one adds to, their gradients whole. */
function lastUses({ inputs }: Node, uses: Map<Tensor, number>): Tensor[] {
  const last: Tensor[] = [];
  for (const { root } of inputs) {
    const left = (uses.get(root) ?? 0) - 1;
    uses.set(root, left);
    if (left === 0 && root.gradient?.written) last.push(root);
  }
  for (const { gradient } of last) gradient?.complete();
  return last;
}

function seed(y: Tensor, upstream?: Tensor | TensorData): void {
  if (upstream === undefined) {
    if (y.size !== 1) {
      throw new AutogradError(
        `backward: the tensor is ${describeShape(y.shape)}; give the upstream gradient, of that shape`,
      );
    }
    addGrad(y, y.device.full(y.shape, 1));
    return;
  }
  const given =
    upstream instanceof Tensor ? upstream : y.device.tensor(valuesFor('backward: upstream', upstream, y), y.shape);
  checkTensor('backward', 'upstream', given, y.device);
  checkDType('backward', 'upstream', given, 'float32');
  if (!sameShape(given.shape, y.shape)) {
    throw new ShapeError(
      `backward: upstream is ${describeShape(given.shape)}, the tensor is ${describeShape(y.shape)}`,
    );
  }
  addGrad(y, given);
}

/** The nodes that led to `last`, newest first. */
function reach(last: Node, since: number): Node[] {
  const found = new Set([last]);
  for (const { inputs, spent } of found) {
    const used = spent ?? inputs.find(({ requiresGrad }) => !requiresGrad);
    if (used !== undefined) {
      throw new AutogradError(
        `backward: the graph behind a tensor ${describeShape(used.root.shape)} was used by an earlier backward(): add the ` +
          'losses and call it once, compute that part again, or go on from its detach(); or requiresGrad of that tensor ' +
          'was set to false since',
      );
    }
    for (const { root } of inputs) {
      if (root.node !== null && root.node.sequence >= since) found.add(root.node);
    }
  }
  return [...found].sort((a, b) => b.sequence - a.sequence);
}

/** Throws if the node would be differentiated at other values than it was computed from. */
function assertUnchanged({ read, versions, arena }: Node): void {
  const changed = read.find(({ storage }, i) => versionOf(storage, arena) !== versions[i]);
  if (changed === undefined) return;
  throw new AutogradError(
    `backward: a tensor ${describeShape(changed.shape)} was written to since it was used, by write() or an optimizer's ` +
      'step: call backward() before, or compute that part again',
  );
}

function versionOf({ version, pool }: Storage, own: Pool | undefined): number {
  return pool === own ? version : version + pool.runs;
}

function finished(output: Tensor): Tensor | null {
  const slot = output.root.gradient;
  if (slot === null || !slot.written) return null;
  slot.complete();
  const dy = slot.viewFor(output);
  if (dy.isContiguous) return dy;
  const packed = dy.device.empty(dy.shape); // only of columns, which recompute may be given
  copy(dy, { tensor: packed, accumulate: 0 });
  return packed;
}

function dropGradient(root: Tensor): void {
  root.gradient?.release();
  root.gradient = null;
}

function release(node: Node): void {
  node.backward = null;
  for (const { root } of node.outputs) {
    dropGradient(root);
    root.node = null;
    root.spent = true;
  }
  for (const holder of node.holders.splice(0)) holder.letGo();
}
