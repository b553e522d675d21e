// The devices that describe-op.ts shares among the tests of a file. It imports types only, because it is part of the set-up.
import type { Device } from '../src/index.js';

const devices = new Map<string, Promise<Device>>();

/** The device of this name. The first call in a file creates it. */
export function sharedDevice(name: string, create: () => Promise<Device>): Promise<Device> {
  const known = devices.get(name) ?? create();
  devices.set(name, known);
  return known;
}

/** Frees the devices after a file, so that the next one begins with new ones. */
export async function disposeSharedDevices(): Promise<void> {
  const used = await Promise.allSettled(devices.values());
  devices.clear();
  for (const device of used) if (device.status === 'fulfilled') device.value.dispose();
}
