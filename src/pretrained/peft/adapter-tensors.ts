import { parseSafetensors, type SafetensorsEntry } from '../../io/safetensors.js';
import type { ModelSource } from '../source.js';
import { openTensors } from '../weights.js';
import { ADAPTER_WEIGHTS } from './lora-parts.js';

/** The file name that older versions of PEFT use. */
const TORCH_WEIGHTS = 'adapter_model.bin';

/** A tensor of an adapter, in memory. */
export type AdapterTensor = Pick<SafetensorsEntry, 'shape' | 'data'>;

/** Shapes of an adapter's tensors by name, from the header of its file. Throws FormatError if the file is missing. */
export async function adapterShapes(source: ModelSource): Promise<ReadonlyMap<string, readonly number[]>> {
  const isOlder = !(await source.has(ADAPTER_WEIGHTS)) && (await source.has(TORCH_WEIGHTS));
  const file = await openTensors(source, isOlder ? TORCH_WEIGHTS : ADAPTER_WEIGHTS);
  file.close();
  return new Map([...file.tensors].map(([name, { shape }]) => [name, shape]));
}

/** The tensors of an adapter, from safetensors or else from a file of torch.save. Throws FormatError without either. */
export async function adapterTensors(source: ModelSource): Promise<ReadonlyMap<string, AdapterTensor>> {
  if ((await source.has(ADAPTER_WEIGHTS)) || !(await source.has(TORCH_WEIGHTS)))
    return parseSafetensors(await source.bytes(ADAPTER_WEIGHTS)).tensors;
  const file = await openTensors(source, TORCH_WEIGHTS);
  try {
    const tensors = new Map<string, AdapterTensor>();
    for (const [name, entry] of file.tensors) {
      const values = entry.data().slice();
      tensors.set(name, { shape: entry.shape, data: () => values });
    }
    return tensors;
  } finally {
    file.close();
  }
}
