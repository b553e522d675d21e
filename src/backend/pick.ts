import { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { BackendOptions } from './backend.js';
import { createNativeBackend } from './native.js';

export interface DeviceOptions extends BackendOptions {
  /** `native`: the C++ addon. `auto` (default): the best that loads here. */
  backend?: 'auto' | 'native';
}

/**
 * Opens a device. Any number can be open at once; each has its own heap.
 *
 * Throws DeviceError if the backend does not load or lacks the instruction set asked for, ArgumentError for an option that
 * makes no sense.
 */
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  const { backend = 'auto', ...rest } = options;
  if (backend !== 'auto' && backend !== 'native') {
    throw new ArgumentError(`createDevice: backend is ${JSON.stringify(backend)}, expected 'auto' or 'native'`);
  }
  return new Device(createNativeBackend(rest));
}
