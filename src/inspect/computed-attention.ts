import { checkFunction } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Operand } from '../core/operand.js';
import type { Shape, Tensor } from '../core/tensor.js';
import { stageNumber } from '../ops/attention-options.js';

/** Operands of the command `attention` that this file reads. */
interface AttentionCommand {
  readonly sizes: Readonly<
    Record<'batch' | 'heads' | 'rowsQ' | 'rowsK' | 'valueWidth' | 'width' | 'scoreDistances', number>
  > & { readonly packed: boolean };
  readonly strides: Readonly<Record<'q' | 'k', number>>;
  readonly relativeScores: Tensor | null;
}

/**
 * Runs `pass`, and resolves to the weights of each attention that it computes, float32 [B, heads, Tq, Tk], in order.
 * The commands that the pass emits tell what is computed, so this works with models of any family, and with functions.
 * Windows of an image are the items B. The pass may compute in slices; other work of the device meanwhile is included.
 * `wants` chooses by the index of an attention and the shape of its weights. Default: all.
 *
 * ```ts
 * const maps = await computedAttention(device, () => sam.imageEmbeddings(pixels));
 * ```
 *
 * The caller disposes of the tensors. Rejects with ArgumentError for attention with sinks, with a packed cache, and in
 * programs that are being recorded. Packed sequences must have equal lengths, else the run fails with CommandError.
 */
export async function computedAttention(
  device: Device,
  pass: () => unknown,
  wants: (index: number, shape: Shape) => boolean = () => true,
): Promise<Tensor[]> {
  for (const given of [pass, wants]) checkFunction('computedAttention', given);
  const { emit } = device;
  const maps: Tensor[] = [];
  let index = 0;
  // A property of the device hides its method, so that devices without observers check nothing.
  device.emit = (name, operands, flops) => {
    emit.call(device, name, operands, flops);
    if (name === 'attentionSinks') throw refusal('attention has sinks');
    if (name !== 'attention') return;
    if (device.recording) throw refusal('the pass records a program');
    const map = weightsOf(device, emit, operands, (shape) => wants(index, shape));
    index++;
    if (map) maps.push(map);
  };
  try {
    await pass();
    return maps;
  } catch (error) {
    for (const map of maps) map.dispose();
    throw error;
  } finally {
    device.emit = emit;
  }
}

function refusal(reason: string): ArgumentError {
  return new ArgumentError(`computedAttention: ${reason}, expected a forward pass without: use attentionMaps instead`);
}

/** Computes the weights of a command that was just emitted, whose inputs still exist. Null if they are not wanted. */
function weightsOf(
  device: Device,
  emit: Device['emit'],
  operands: Readonly<Record<string, Operand>>,
  isWanted: (shape: Shape) => boolean,
): Tensor | null {
  const { sizes, strides, relativeScores } = operands as unknown as AttentionCommand;
  const { batch, heads, rowsQ, rowsK, packed, width, scoreDistances } = sizes;
  if ((operands.k as Tensor).dtype !== 'float32') throw refusal('the cache is packed');
  const [maxQ, maxK] = [rowsQ, rowsK].map((rows) => (packed ? Math.ceil(rows / batch) : rows)) as [number, number];
  const shape = [batch, heads, maxQ, maxK];
  if (!isWanted(shape)) return null;
  const { y: _y, stats: _stats, relativeWeights: _weights, yStride: _stride, trains: _trains, ...rest } = operands;
  const { dropping: _dropping, keptScale: _scale, ...inputs } = rest;
  const p = device.keep(device.empty(shape));
  emit.call(device, 'attentionWeights', {
    ...inputs,
    p,
    maxQ,
    maxK,
    stage: stageNumber('softmax'),
    v: null,
    sizes: { ...sizes, valueWidth: width, scoreDistances: relativeScores ? scoreDistances : 0 },
    strides: { ...strides, v: 0 },
  });
  return p;
}
