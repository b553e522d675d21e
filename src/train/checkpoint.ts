import { nodeModule } from '../backend/node.js';
import { describeShape } from '../core/check.js';
import { FormatError, NonFiniteError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import { isTemporary, resolveLinks, temporarySuffix } from '../io/atomic-write.js';
import { openSafetensors, saveSafetensors } from '../io/file.js';
import type { SafetensorsSource } from '../io/safetensors.js';
import type { Optimizer } from './optimizer.js';
import { decodeState, encodeState, type RunState } from './run-state.js';

/** The metadata key of a checkpoint's numbers. */
const KEY = 'simdformer.checkpoint';

interface Saved {
  state: unknown;
  optimizer: Readonly<Record<string, number>>;
}

/** The state of an optimizer to be written. Its tensors are on the device or in arrays. */
export interface StoredState {
  readonly tensors: ReadonlyMap<string, SafetensorsSource>;
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * Writes tensors, the optimizer's state and the run's state to one safetensors file. The file at `path` is replaced
 * only once the new one is complete. Throws NonFiniteError, and keeps the old file, if an element of a tensor is not
 * finite.
 */
export async function saveCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  optimizer: StoredState,
  state: RunState,
): Promise<void> {
  await checkFinite(path, tensors, state.step);
  const all = new Map<string, SafetensorsSource>(tensors);
  for (const [name, tensor] of optimizer.tensors) all.set(`optimizer.${name}`, tensor);
  const saved: Saved = { state: encodeState(state), optimizer: optimizer.numbers };
  await saveSafetensors(path, all, { [KEY]: JSON.stringify(saved) });
}

async function checkFinite(path: string, tensors: ReadonlyMap<string, Tensor>, step: number): Promise<void> {
  for (const [name, tensor] of tensors) {
    if (await areFinite(await tensor.data())) continue;
    throw new NonFiniteError(
      `fit: ${name} has elements that are not finite after step ${step}, so the checkpoint ${path} was not changed: ` +
        'lower the learning rate, warm up longer, or clip gradients',
      step,
    );
  }
}

/** Number of values that are checked before the event loop may run. */
const VALUES_A_SLICE = 1 << 16;

async function areFinite(values: Float32Array | Int32Array): Promise<boolean> {
  for (let start = 0; start < values.length; start += VALUES_A_SLICE) {
    if (!values.subarray(start, start + VALUES_A_SLICE).every(Number.isFinite)) return false;
    await yieldToEventLoop();
  }
  return true;
}

/**
 * Reads a checkpoint into the tensors and the optimizer. Returns the run's state, or null if there is no file. Throws
 * FormatError, naming the file, if it is damaged, not a checkpoint, or of another model or optimizer. Throws
 * ArgumentError if its run had other batches than `current`. Nothing changes if it throws.
 */
export async function loadCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  optimizer: Pick<Optimizer, 'loadState'>,
  current: RunState,
): Promise<RunState | null> {
  let file: Awaited<ReturnType<typeof openSafetensors>>;
  try {
    file = await openSafetensors(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw named(path, (error as Error).cause ?? error); // `named` adds the path
  }
  try {
    const saved = parse(file.metadata.get(KEY));
    const state = decodeState(saved.state, current);
    const values = new Map<string, Float32Array>();
    const optimizerValues = new Map<string, Float32Array>();
    for (const [name, entry] of file.tensors) {
      const data = entry.data();
      if (!(data instanceof Float32Array)) throw new FormatError(`${name} is ${entry.dtype}, expected F32`);
      if (name.startsWith('optimizer.')) optimizerValues.set(name.slice(10), data);
      else values.set(name, data);
    }
    for (const [name, tensor] of tensors) {
      const shape = file.tensors.get(name)?.shape;
      if (shape?.join() !== tensor.shape.join()) {
        const found = shape === undefined ? 'no' : `${describeShape(shape)} for`;
        throw new FormatError(
          `it belongs to another model or other options: it has ${found} ${name}, expected ${describeShape(tensor.shape)}`,
        );
      }
    }
    if (values.size !== tensors.size)
      throw new FormatError('it belongs to another model or other options, with more tensors');
    optimizer.loadState({ tensors: optimizerValues, numbers: saved.optimizer });
    for (const [name, tensor] of tensors) tensor.write(values.get(name) as Float32Array);
    return state;
  } catch (error) {
    throw named(path, error);
  } finally {
    file.close();
  }
}

/**
 * True if `path` is an existing file that a later checkpoint can replace. Throws the system's error if the folder
 * cannot be written to.
 */
export async function isReplaceable(path: string): Promise<boolean> {
  const { open, rm, stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const found = await stat(path).catch(() => null);
  if (!found?.isFile()) return false;
  const other = (await resolveLinks(path)) + temporarySuffix();
  await (await open(other, 'wx')).close();
  await rm(other);
  return true;
}

/** Removes the temporary files of writers that were killed. Must not be called while a writer runs. */
export async function removeUnfinished(path: string): Promise<void> {
  const { readdir, rm } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { basename, dirname, join } = await nodeModule<typeof import('node:path')>('path');
  const target = await resolveLinks(path);
  const names = await readdir(dirname(target)).catch(() => []); // writing will report the error
  const left = names.filter((name) => isTemporary(name, basename(target)));
  for (const name of left) await rm(join(dirname(target), name), { force: true });
}

function parse(json: string | undefined): Saved {
  if (json === undefined) throw new FormatError('it is a safetensors file, but no checkpoint');
  try {
    const { state, optimizer } = JSON.parse(json) as Saved;
    const numbers = Object.entries(optimizer).every(([, value]) => typeof value === 'number');
    if (typeof optimizer === 'object' && numbers) return { state, optimizer };
  } catch {} // other JSON, or null
  throw new FormatError('its state is damaged');
}

/** Adds the path of the file to a FormatError. Returns other errors unchanged. */
function named(path: string, error: unknown): unknown {
  if (!(error instanceof FormatError)) return error;
  return new FormatError(`the checkpoint ${path} cannot be used: ${error.message}`, { cause: error });
}
