// Reverse-mode differentiation. An op that can be differentiated leaves a Node at its outputs. backward() visits the
// nodes that led to a tensor, newest first. Each one emits its backward commands into the queue of the forward ones.
//
// Gradients live at roots: a view's gradient is its part of the root's. The first writer of a gradient assigns and
// later ones accumulate, so nothing is zeroed beforehand.

import { checkDType, checkFunction, checkSynchronous, checkTensor, checkTensorList, describeShape } from './check.js';
import { AutogradError, ShapeError } from './errors.js';
import { GradientSlot } from './gradient-slot.js';
import type { Pool } from './heap.js';
import { lastOf, sameShape } from './shape.js';
import { atOnce, eachWithin } from './slices.js';
import type { Storage } from './storage.js';
import { type Device, type Gradient, type GradientTarget, type Node, Tensor } from './tensor.js';
import { type TensorData, valuesFor } from './tensor-data.js';

export type { GradientTarget } from './tensor.js';

/**
 * Tensors whose scope has ended but that the graphs of its results still need. Each result releases them once: when its
 * graph is used, or when the result is disposed of. The last release disposes of the tensors.
 */
export class RetainedTensors {
  constructor(
    private readonly tensors: readonly Tensor[],
    private holders: number,
  ) {}

  release(): void {
    if (--this.holders === 0) for (const tensor of this.tensors) tensor.dispose();
  }
}

/**
 * Registers how to differentiate `output = f(inputs)` if gradients are on and an input requires one. Returns `output`.
 * `backward` receives `dy`, the gradient of the output, contiguous and in the output's shape, and emits commands;
 * `gradOf(input)` tells it where each result goes. Every tensor that it uses stays alive until then. `reads` lists the
 * tensors that it reads besides inputs and output, such as ids, so that backward() can detect later writes to them.
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

/** Like `differentiable`, for several outputs. The gradient of an unused output is null. */
export function differentiableMany(
  outputs: readonly Tensor[],
  inputs: readonly (Tensor | null | undefined)[],
  backward: (gradients: (Tensor | null)[]) => void,
  reads: readonly (Tensor | null | undefined)[] = [],
): void {
  if (!isDifferentiated(inputs)) return;
  const { device } = outputs[0] as Tensor;
  const usedInput = inputs.find((input) => input?.root.graphUsed) ?? undefined;
  const read = [...inputs, ...reads, ...outputs].filter((tensor) => tensor !== null && tensor !== undefined);
  const node: Node = {
    sequence: device.nextSequence(),
    inputs: inputs.filter((input): input is Tensor => input?.requiresGrad === true),
    outputs,
    read,
    versions: read.map(({ storage }) => versionOf(storage, device.arena)),
    arena: device.arena,
    matmul: device.matmul,
    backward,
    usedInput,
    holders: [],
  };
  for (const output of outputs) output.root.node = node;
}

/** True if an op of these inputs is differentiated, so that it must keep what its backward pass needs. */
export function isDifferentiated(inputs: readonly (Tensor | null | undefined)[]): boolean {
  return inputs.some((input) => input?.requiresGrad && input.device.gradientsOn);
}

/**
 * @internal In a backward pass: where the gradient of `x` goes, or null if it needs none. Call it once for each command
 * that writes it.
 */
export function gradOf(x: Tensor | null | undefined): GradientTarget | null {
  if (!x?.requiresGrad) return null;
  return slotOf(x.root).targetFor(x);
}

/**
 * @internal The `accumulate` operand of a backward command: bit i is set if the i-th gradient is added to existing
 * values.
 */
export function accumulateBits(...targets: (GradientTarget | null)[]): number {
  return targets.reduce((bits, target, i) => bits | ((target?.accumulate ?? 0) << i), 0);
}

/**
 * @internal In a backward pass: adds `dy` itself to the gradient of `x`, without a copy if nothing else needs `dy`'s
 * memory.
 */
export function passGrad(x: Tensor | null | undefined, dy: Tensor): void {
  if (!x?.requiresGrad) return;
  const unused = x.root === x && x.gradient === null && x.node !== null;
  // There are two references: the tensor, and the output's slot, which is dropped in this backward pass.
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

/** Returns the slot for the gradient of a root. */
export function slotOf(root: Tensor): Gradient {
  if (root.gradient?.tensor.disposed) dropGradient(root); // the caller may have disposed of `grad`
  if (root.gradient === null) {
    // A view of a disposed root may be usable, but nothing would free the gradient.
    if (root.node === null) root.assertUsable('backward');
    const device = root.device;
    // The gradient of a leaf belongs to the caller and outlives scopes and recordings. Other gradients end with
    // backward().
    const make = () => device.empty(root.shape);
    const tensor = root.node === null ? device.unscoped(make) : device.keep(make());
    root.gradient = new GradientSlot(root, tensor);
  }
  if (root.node === null) root.device.noteGradient(root.gradient);
  return root.gradient;
}

/**
 * Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174). Calls `fn` without keeping its intermediate results, and
 * calls it again during the backward pass. This saves memory at the cost of a second forward pass.
 *
 * `inputs` are all tensors that `fn` uses. `fn` must compute the same values both times, and return one tensor of any
 * shape. Throws ArgumentError if `inputs` is empty or `fn` is asynchronous.
 */
export function recompute(inputs: readonly Tensor[], fn: () => Tensor): Tensor {
  checkFunction('recompute', fn);
  const device = checkTensorList('recompute', 'inputs', inputs);
  if (!device.gradientsOn) return fn();
  const y = device.noGrad(() => device.scope(() => checkSynchronous('recompute', fn())));
  checkTensor('recompute', 'what fn returned', y);
  // `fn` may return its input, as dropout with p = 0 does.
  if (y.requiresGrad || inputs.some(({ root }) => root === y.root)) return y;
  return differentiable(y, inputs, (dy) => {
    device.scope(() => {
      const since = device.nextSequence();
      const again = device.withGrad(fn);
      if (again.requiresGrad) backward(again, dy, since);
    });
  });
}

/** See `Tensor.backward`. Nodes older than `since` are left to the caller. */
export function backward(y: Tensor, upstream?: Tensor | TensorData, since = 0): void {
  const { device } = y;
  device.noGrad(() => device.scope(() => atOnce(pass(y, upstream, since))));
}

/**
 * Does what `backward` does, but yields after each node. Other work can run meanwhile. `onFinal` is called with each
 * leaf as soon as all commands that write its gradient are queued. Further work on it can then overlap with the rest of
 * the pass.
 */
export function backwardInParts(
  y: Tensor,
  upstream?: Tensor | TensorData,
  onFinal?: (leaf: Tensor) => void,
): Generator<undefined, void> {
  const { device } = y;
  return eachWithin((part) => device.noGrad(part), device.scopeInParts(pass(y, upstream, 0, onFinal)));
}

function* pass(
  y: Tensor,
  upstream: Tensor | TensorData | undefined,
  since: number,
  onFinal?: (leaf: Tensor) => void,
): Generator<undefined, void> {
  y.assertUsable('backward');
  if (!y.requiresGrad) {
    throw new AutogradError(
      'backward: no tensor that led to this one requires a gradient, or its graph was used before',
    );
  }
  const { device } = y;
  const nodes = y.root.node === null ? [] : reachableNodes(y.root.node, since);
  const leaves = new Set([y, ...nodes.flatMap(({ inputs }) => inputs)].map(({ root }) => root));
  const uses = onFinal && usesOf(nodes);
  seed(y, upstream);
  try {
    for (const node of nodes) {
      differentiate(node, device);
      if (uses) for (const leaf of lastUses(node, uses)) onFinal?.(leaf);
      yield;
    }
  } finally {
    for (const node of nodes) release(node);
    for (const leaf of leaves) if (leaf.node === null && leaf.gradient?.written) leaf.gradient.complete();
  }
}

/** Passes the gradients of a node's outputs to its inputs, and frees those of the outputs. */
function differentiate(node: Node, device: Device): void {
  const gradients = node.outputs.map(finished);
  if (gradients.some((gradient) => gradient !== null)) {
    assertUnchanged(node);
    device.withMatmul(node.matmul, () => node.backward?.(gradients));
  }
  for (const output of node.outputs) dropGradient(output.root);
}

/** Counts the inputs of nodes that belong to each leaf. */
function usesOf(nodes: readonly Node[]): Map<Tensor, number> {
  const uses = new Map<Tensor, number>();
  for (const { inputs } of nodes)
    for (const { root } of inputs) if (root.node === null) uses.set(root, (uses.get(root) ?? 0) + 1);
  return uses;
}

/** Returns the leaves whose gradients no further node writes, so that they are complete. */
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
  const upstreamGradient =
    upstream instanceof Tensor ? upstream : y.device.tensor(valuesFor('backward: upstream', upstream, y), y.shape);
  checkTensor('backward', 'upstream', upstreamGradient, y.device);
  checkDType('backward', 'upstream', upstreamGradient, 'float32');
  if (!sameShape(upstreamGradient.shape, y.shape)) {
    throw new ShapeError(
      `backward: upstream is ${describeShape(upstreamGradient.shape)}, the tensor is ${describeShape(y.shape)}`,
    );
  }
  addGrad(y, upstreamGradient);
}

/** Returns the nodes that led to `last`, newest first. */
function reachableNodes(last: Node, since: number): Node[] {
  const found = new Set([last]);
  for (const { inputs, usedInput } of found) {
    const used = usedInput ?? inputs.find(({ requiresGrad }) => !requiresGrad);
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

/** Throws if the node would be differentiated at values other than those it was computed from. */
function assertUnchanged({ read, versions, arena }: Node): void {
  const changed = read.find(({ storage }, i) => versionOf(storage, arena) !== versions[i]);
  if (changed === undefined) return;
  throw new AutogradError(
    `backward: a tensor ${describeShape(changed.shape)} was written to since it was used, by write() or an optimizer's ` +
      'step: call backward() before, or compute that part again',
  );
}

function versionOf({ version, pool }: Storage, currentPool: Pool | undefined): number {
  return pool === currentPool ? version : version + pool.runs;
}

function finished(output: Tensor): Tensor | null {
  const slot = output.root.gradient;
  if (slot === null || !slot.written) return null;
  slot.complete();
  const dy = slot.viewFor(output);
  if (dy.isContiguous) return dy;
  const packed = dy.device.empty(dy.shape); // only views of columns, which recompute may get, need this copy
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
    root.graphUsed = true;
  }
  for (const holder of node.holders.splice(0)) holder.release();
}
