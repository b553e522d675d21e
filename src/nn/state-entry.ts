// Parameters in the form of state dicts.

import type { Shape, Tensor } from '../core/tensor.js';
import { type StatePiece, shapeOf } from './state-names.js';
import { toStored } from './stored-layout.js';

/** A tensor of a state dict: in PyTorch's layout, read from the device on demand. */
export interface StateEntry {
  readonly dtype: 'float32';
  readonly shape: Shape;
  data(): Promise<Float32Array>;
  dataSync(): Float32Array;
}

/** A parameter: a tensor, or the piece of one that a checkpoint has under a name. */
export interface Parameter {
  readonly shape: Shape;
  readonly requiresGrad: boolean;
  /** The gradient, if `backward()` left one. */
  readonly grad: Pick<Parameter, 'shape' | 'data' | 'dataSync'> | null;
  data(): Promise<Float32Array | Int32Array>;
  dataSync(): Float32Array | Int32Array;
}

/** A parameter in the layout of a state dict. */
export interface StateParameterEntry extends StateEntry {
  readonly requiresGrad: boolean;
  readonly grad: StateEntry | null;
}

/** An entry that shows a piece at the time of each read. */
export function entryOf(piece: StatePiece): StateEntry {
  const onColumns = <T>(use: (columns: Tensor) => T): T => {
    const { tensor, start, end } = piece;
    if (start === 0 && end === (tensor.shape.at(-1) ?? 1)) return use(tensor);
    const columns = tensor.device.unscoped(() => tensor.columns(start, end));
    try {
      return use(columns);
    } finally {
      columns.dispose(); // a running read keeps the memory
    }
  };
  return {
    dtype: 'float32',
    shape: shapeOf(piece),
    data: async () => toStored(piece, (await onColumns((columns) => columns.data())) as Float32Array),
    dataSync: () => toStored(piece, onColumns((columns) => columns.dataSync()) as Float32Array),
  };
}

/** The piece with its gradient. */
export function parameterOf(piece: StatePiece): StateParameterEntry {
  const { tensor } = piece;
  return {
    ...entryOf(piece),
    get requiresGrad() {
      return tensor.requiresGrad;
    },
    get grad() {
      const gradient = tensor.grad;
      return gradient && entryOf({ ...piece, tensor: gradient });
    },
  };
}
