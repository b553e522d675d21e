import { checkDType, checkTensorList, describeShape } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, AutogradError, FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { PackedWeight } from '../nn/weight.js';
import { groupsOf, type ParameterGroup } from './parameter-groups.js';

/** An optimizer updates parameters with their gradients. */
export interface Optimizer {
  /** All parameters that the optimizer changes. */
  readonly params: readonly Tensor[];
  /**
   * Applies the gradients. `lr` overrides the learning rate of this step; `maxNorm` scales the gradients down so that
   * their global norm is at most that.
   */
  step(options?: { lr?: number | undefined; maxNorm?: number | undefined }): void;
  /** Clears the gradients. */
  zeroGrad(): void;
  /** Returns the state that a checkpoint needs to continue with the same bits: tensors by name, and numbers. */
  state(): OptimizerState;
  /** Restores a result of `state`. Throws FormatError, and changes nothing, if it belongs to other parameters. */
  loadState(state: { tensors: ReadonlyMap<string, Float32Array>; numbers: Readonly<Record<string, number>> }): void;
  /**
   * Keeps the state of `owned`, a subset of `params`, and frees the rest, which other ranks keep (ZeRO stage 1). From
   * now on, only the parameters in `owned` are changed. `maxNorm` still uses the gradients of all parameters.
   */
  shard?(owned: ReadonlySet<Tensor>): void;
  /** The settings, as JSON. They must be equal on all ranks that train a model together. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface OptimizerState {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly numbers: Readonly<Record<string, number>>;
}

/** One parameter and its state. */
export interface OptimizerEntry {
  readonly param: Tensor;
  /** Index among all parameters. */
  readonly index: number;
  readonly group: ParameterGroup;
  /** Tensors by their names in checkpoints. */
  readonly state: Readonly<Record<string, Tensor>>;
}

/** An optimizer that keeps some tensors for each parameter. */
export abstract class BaseOptimizer<Entry extends OptimizerEntry> implements Optimizer {
  readonly params: readonly Tensor[];
  readonly settings: Readonly<Record<string, unknown>>;
  /** @internal */
  protected readonly device: Device;
  /** @internal */
  protected entries: readonly Entry[];

  /**
   * @internal `name` is text, because bundlers rename classes. `start` returns the state of a parameter and what else
   * its entry has. It is called when nothing can be refused any more, so no memory is lost.
   */
  protected constructor(
    name: string,
    params: readonly Tensor[] | readonly ParameterGroup[],
    options: object,
    start: (param: Tensor) => Omit<Entry, 'param' | 'index' | 'group'>,
  ) {
    const groups = groupsOf(name, params);
    this.params = groups.flatMap((group) => group.params);
    this.settings = settingsOf(name, options, groups);
    const device = checkLeaves(name, this.params);
    device.assertNotRecording(name);
    this.device = device;
    const members = groups.flatMap((group) => group.params.map((param) => ({ param, group })));
    const entryOf = (member: { param: Tensor; group: ParameterGroup }, index: number) =>
      ({ ...member, index, ...start(member.param) }) as Entry;
    this.entries = device.unscoped(() => members.map(entryOf));
  }

  abstract step(options?: { lr?: number | undefined; maxNorm?: number | undefined }): void;

  zeroGrad(): void {
    for (const param of this.params) param.zeroGrad();
  }

  /** See `Optimizer.state`: tensors of parameter i as `i.exp_avg`, and so on. */
  state(): OptimizerState {
    return { tensors: this.stateTensors(), numbers: {} };
  }

  /** See `Optimizer.loadState`. */
  loadState({ tensors }: Parameters<Optimizer['loadState']>[0]): void {
    loadTensors(`${this.settings.name}`, this.stateTensors(), tensors);
  }

  /** @internal */
  protected stateTensors(): Map<string, Tensor> {
    const named = this.entries.flatMap(({ index, state }) =>
      Object.entries(state).map(([name, tensor]) => [`${index}.${name}`, tensor] as const),
    );
    return new Map(named);
  }

  /** See `Optimizer.shard`. */
  shard(owned: ReadonlySet<Tensor>): void {
    for (const entry of this.entries) if (!owned.has(entry.param)) disposeState(entry);
    this.entries = this.entries.filter(({ param }) => owned.has(param));
  }

  /** Frees the memory of the state, but not the parameters. */
  dispose(): void {
    for (const entry of this.entries) disposeState(entry);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function disposeState({ state }: OptimizerEntry): void {
  for (const tensor of Object.values(state)) tensor.dispose();
}

/** The settings of an optimizer: its name, its options, and the settings and sizes of its groups. */
function settingsOf(
  name: string,
  options: object,
  groups: readonly ParameterGroup[],
): Readonly<Record<string, unknown>> {
  const sizes = groups.map(({ params, lr, weightDecay }) => ({ parameters: params.length, lr, weightDecay }));
  return { name, ...options, groups: sizes };
}

/** Checks parameters, which must be float32 leaves, each given once. Returns their device. */
export function checkLeaves(op: string, params: readonly Tensor[]): Device {
  if (Array.isArray(params)) {
    const packed = (params as readonly unknown[]).find((param): param is PackedWeight => param instanceof PackedWeight);
    if (packed) {
      throw new ArgumentError(
        `${op}: a weight ${describeShape(packed.shape)} is packed as ${packed.format}, which has no gradient: train adapters ` +
          'beside it, or load the model as float32',
      );
    }
  }
  const device = checkTensorList(op, 'params', params);
  params.forEach((param, i) => {
    checkDType(op, `params[${i}]`, param, 'float32');
    if (param.root !== param || param.node !== null) {
      throw new AutogradError(`${op}: params[${i}] is a view or the result of an op, expected a leaf`);
    }
  });
  if (new Set(params).size < params.length) throw new ArgumentError(`${op}: a parameter is given twice`);
  return device;
}

/** Writes saved state into `state`. Throws FormatError, and changes nothing, if names or sizes differ. */
export function loadTensors(
  op: string,
  state: ReadonlyMap<string, Tensor>,
  saved: ReadonlyMap<string, Float32Array>,
): void {
  for (const [name, tensor] of state) {
    const length = saved.get(name)?.length;
    if (length !== tensor.size) {
      throw new FormatError(`${op}: the state has ${length ?? 'no'} values for ${name}, expected ${tensor.size}`);
    }
  }
  if (saved.size !== state.size) throw new FormatError(`${op}: the state belongs to more parameters`);
  for (const [name, tensor] of state) tensor.write(saved.get(name) as Float32Array);
}
