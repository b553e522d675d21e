import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { openSafetensors, saveSafetensors } from '../io/file.js';
import type { Optimizer } from './optimizer.js';

/** The metadata key of a checkpoint's numbers. */
const KEY = 'simdformer.checkpoint';

interface Saved<State> {
  state: State;
  optimizer: Readonly<Record<string, number>>;
}

/**
 * Writes tensors, an optimiser's state and `state` (anything JSON can hold) to one safetensors file. It appears whole or not
 * at all; what was at `path` before stays until then.
 */
export async function saveCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  optimizer: Optimizer,
  state: unknown,
): Promise<void> {
  const { tensors: optimizerTensors, numbers } = optimizer.state();
  const all = new Map(tensors);
  for (const [name, tensor] of optimizerTensors) all.set(`optimizer.${name}`, tensor);
  const saved: Saved<unknown> = { state, optimizer: numbers };
  await saveSafetensors(path, all, { [KEY]: JSON.stringify(saved) });
}

/**
 * Reads a checkpoint into the same tensors and optimiser and returns its state, or null if there is no file.
 * Throws FormatError, and changes nothing, if it is no checkpoint or one of another model or optimiser, and what `check` throws
 * about its state.
 */
export async function loadCheckpoint<State>(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  optimizer: Optimizer,
  check: (state: State) => void = () => {},
): Promise<State | null> {
  let file: Awaited<ReturnType<typeof openSafetensors>>;
  try {
    file = await openSafetensors(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const saved = parse<State>(path, file.metadata.get(KEY));
    check(saved.state);
    const values = new Map<string, Float32Array>();
    const optimizerValues = new Map<string, Float32Array>();
    for (const [name, entry] of file.tensors) {
      if (name.startsWith('optimizer.')) optimizerValues.set(name.slice(10), entry.data() as Float32Array);
      else values.set(name, entry.data() as Float32Array);
    }
    for (const [name, tensor] of tensors) {
      const shape = file.tensors.get(name)?.shape;
      if (shape?.join() !== tensor.shape.join()) {
        const found = shape === undefined ? 'no' : `[${shape.join(', ')}] for`;
        throw new FormatError(
          `${path} is a checkpoint of another model: it has ${found} ${name}, expected [${tensor.shape.join(', ')}]`,
        );
      }
    }
    if (values.size !== tensors.size)
      throw new FormatError(`${path} is a checkpoint of another model, with more parameters`);
    optimizer.loadState({ tensors: optimizerValues, numbers: saved.optimizer });
    for (const [name, tensor] of tensors) tensor.write(values.get(name) as Float32Array);
    return saved.state;
  } finally {
    file.close();
  }
}

function parse<State>(path: string, json: string | undefined): Saved<State> {
  if (json === undefined) throw new FormatError(`${path} is a safetensors file, but no checkpoint`);
  try {
    return JSON.parse(json) as Saved<State>;
  } catch {
    throw new FormatError(`${path} is a checkpoint whose state is damaged`);
  }
}
