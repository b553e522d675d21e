// All ranks of a run begin with the weights and the state of rank 0, new or read from a checkpoint.

import type { Tensor } from '../core/tensor.js';
import type { Optimizer } from './optimizer.js';
import { decodeState, encodeState, type RunState } from './run-state.js';
import { Shards } from './shards.js';
import type { World } from './world.js';

/**
 * Sends the tensors of rank 0 to all ranks and, if the run resumes, the optimizer's state and the run's state, which is
 * `state` on rank 0. Returns the run's state.
 */
export async function shareState(
  world: World,
  state: RunState | null,
  tensors: ReadonlyMap<string, Tensor>,
  optimizer: Optimizer | Shards,
  current: RunState,
): Promise<RunState | null> {
  for (const tensor of tensors.values()) await share(world, tensor);
  const isSharded = optimizer instanceof Shards;
  const numbers = state === null ? null : isSharded ? optimizer.numbers : optimizer.state().numbers;
  const texts = await world.exchangeText(JSON.stringify(state && { state: encodeState(state), numbers }));
  const first = JSON.parse(texts[0] as string) as { state: unknown; numbers: Record<string, number> } | null;
  if (first === null) return null;
  if (isSharded) await optimizer.scatter(first.numbers);
  else {
    const values = new Map<string, Float32Array>();
    for (const [name, tensor] of optimizer.state().tensors) values.set(name, await share(world, tensor));
    optimizer.loadState({ tensors: values, numbers: first.numbers });
  }
  return decodeState(first.state, current);
}

async function share(world: World, tensor: Tensor): Promise<Float32Array> {
  const values = (await tensor.data()) as Float32Array;
  await world.broadcast(values, 0);
  if (world.rank !== 0) tensor.write(values);
  return values;
}
