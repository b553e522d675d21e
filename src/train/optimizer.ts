import { checkDType, checkTensorList, describeShape } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, AutogradError, FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { PackedWeight } from '../nn/weight.js';

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

/** Checks the parameters of an optimizer, which must be float32 leaves, each given once. Returns their device. */
export function checkParameters(op: string, params: readonly Tensor[]): Device {
  const device = checkLeaves(op, params);
  device.assertNotRecording(op);
  return device;
}

/** Checks parameters as `checkParameters` does, for functions that may be recorded in a program. */
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

/**
 * An optimizer's `settings`: its name, its options, and the settings and sizes of its groups. The name is text, because
 * bundlers rename classes.
 */
export function settingsOf(
  name: string,
  options: object,
  groups: readonly {
    readonly params: readonly Tensor[];
    readonly lr?: number | undefined;
    readonly weightDecay?: number | undefined;
  }[],
): Readonly<Record<string, unknown>> {
  const groupSettings = groups.map(({ params, lr, weightDecay }) => ({ parameters: params.length, lr, weightDecay }));
  return { name, ...options, groups: groupSettings };
}

/** Returns the entries of the parameters `owned`. Calls `drop` for all other entries. */
export function ownEntries<Entry extends { readonly param: Tensor }>(
  entries: readonly Entry[],
  owned: ReadonlySet<Tensor>,
  drop: (entry: Entry) => void,
): readonly Entry[] {
  for (const entry of entries) if (!owned.has(entry.param)) drop(entry);
  return entries.filter(({ param }) => owned.has(param));
}

/** Writes saved state into `tensors`. Throws FormatError, and changes nothing, if names or sizes differ. */
export function loadTensors(
  op: string,
  tensors: ReadonlyMap<string, Tensor>,
  saved: ReadonlyMap<string, Float32Array>,
): void {
  for (const [name, tensor] of tensors) {
    const length = saved.get(name)?.length;
    if (length !== tensor.size) {
      throw new FormatError(`${op}: the state has ${length ?? 'no'} values for ${name}, expected ${tensor.size}`);
    }
  }
  if (saved.size !== tensors.size) throw new FormatError(`${op}: the state belongs to more parameters`);
  for (const [name, tensor] of tensors) tensor.write(saved.get(name) as Float32Array);
}
