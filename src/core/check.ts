// Checks of tensors that ops make before they emit a command. This file also exports the checks of other values.

import { checkArray, describeShape, describeValue } from './check-values.js';
import { ArgumentError, DeviceError, DTypeError, ShapeError } from './errors.js';
import { type DType, lastOf, type Shape, sameShape } from './shape.js';
import { type Device, Tensor } from './tensor.js';

export * from './check-options.js';
export * from './check-values.js';

/**
 * Checks that all tensors of an op are usable and on one device, which is returned. Tensors in `optional` may be
 * absent.
 */
export function checkDevice(
  op: string,
  tensors: Readonly<Record<string, Tensor>>,
  optional?: Readonly<Record<string, Tensor | null | undefined>>,
): Device {
  let device: Device | undefined;
  for (const name in tensors) device = checkTensor(op, name, tensors[name] as Tensor, device);
  for (const name in optional) {
    const tensor = optional[name];
    if (tensor !== null && tensor !== undefined) device = checkTensor(op, name, tensor, device);
  }
  if (device === undefined) throw new ArgumentError(`${op}: expected a tensor`);
  return device;
}

/** Checks that a tensor is usable and on `device`, if that is given. Returns its device. */
export function checkTensor(op: string, name: string, tensor: Tensor, device?: Device): Device {
  if (!(tensor instanceof Tensor))
    throw new ArgumentError(`${op}: ${name} is ${describeValue(tensor)}, expected a tensor`);
  tensor.assertUsable(op, name);
  if (device !== undefined && tensor.device !== device)
    throw new DeviceError(`${op}: ${name} is on another device than its other tensors`);
  return tensor.device;
}

/** Checks an array of at least one tensor, like `checkTensor`. Returns their device. */
export function checkTensorList(op: string, name: string, tensors: readonly Tensor[]): Device {
  checkArray(op, name, tensors, 'an array of tensors');
  let device: Device | undefined;
  for (const [i, tensor] of tensors.entries()) device = checkTensor(op, `${name}[${i}]`, tensor, device);
  if (device === undefined) throw new ArgumentError(`${op}: ${name} is [], expected at least one tensor`);
  return device;
}

export function checkDType(op: string, name: string, tensor: { readonly dtype: DType }, dtype: DType): void {
  if (tensor.dtype !== dtype) throw new DTypeError(`${op}: ${name} is ${tensor.dtype}, expected ${dtype}`);
}

/** Checks the dtype of several tensors, some of which may be absent. */
export function checkDTypes(op: string, tensors: Readonly<Record<string, Tensor | null>>, dtype: DType): void {
  for (const name in tensors) {
    const tensor = tensors[name];
    if (tensor) checkDType(op, name, tensor, dtype);
  }
}

export function checkShape(op: string, name: string, tensor: Tensor, shape: Shape): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected ${describeShape(shape)}`);
  }
}

/** Views a tensor as a matrix: the last dimension gives the columns, all others together the rows. */
export function matrixOf(tensor: Tensor): { rows: number; cols: number; stride: number } {
  const cols = lastOf(tensor.shape);
  return { rows: tensor.size / cols, cols, stride: tensor.rowStride };
}
