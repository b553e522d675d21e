export type { BackendOptions } from './backend/backend.js';
export { createDevice, type DeviceOptions } from './backend/pick.js';
export type { Device, DeviceInfo } from './core/device.js';
export * from './core/errors.js';
export type { CommandInfo, Program } from './core/program.js';
export { Scalar } from './core/queue.js';
export { type DType, type NestedNumbers, type Shape, Tensor, type TensorData } from './core/tensor.js';
export * from './ops/index.js';
