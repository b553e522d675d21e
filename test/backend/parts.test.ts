// The kernels of a device in WebAssembly come in parts, which are loaded when a command first needs them.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createDevice, type Device, DeviceError, type Tensor } from '../../src/index.js';
import { PackedWeight } from '../../src/nn/index.js';
import { gelu, linear, sum } from '../../src/ops/index.js';
import { describeWith } from '../equipment.js';

/** The number of parts that devices have added since this was called. */
function countParts(): () => number {
  const { Instance } = WebAssembly;
  let count = 0;
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports);
      count++;
    }
  };
  onTestFinished(() => {
    WebAssembly.Instance = Instance;
  });
  return () => count;
}

const input = (device: Device) =>
  device.tensor(
    Float32Array.from({ length: 40 * 64 }, (_, i) => Math.sin(i)),
    [40, 64],
  );
const weight = (device: Device) =>
  device.tensor(
    Float32Array.from({ length: 64 * 96 }, (_, i) => Math.cos(i)),
    [64, 96],
  );

const products = {
  float32: (device: Device) => gelu(linear(input(device), weight(device))),
  packed: (device: Device) =>
    PackedWeight.fromTensor(weight(device), 'int8').linear(
      device.tensor(
        Float32Array.from({ length: 96 }, (_, i) => i),
        [1, 96],
      ),
      null,
    ),
  gradient: (device: Device) => {
    const x = input(device);
    x.requiresGrad = true;
    sum(gelu(x)).backward();
    return x.grad as Tensor;
  },
};

describeWith(['WebAssembly'], 'parts of the kernels', () => {
  it.each([1, 3])('loads when a command needs it, and gives the same bits on %i threads', async (threads) => {
    const added = countParts();
    const device = await createDevice({ backend: 'wasm', threads });
    const other = await createDevice({ backend: 'wasm', threads: 1 });
    onTestFinished(() => [device, other].forEach((each) => void each.dispose()));
    const sync = Object.fromEntries(Object.entries(products).map(([name, f]) => [name, f(other).dataSync()]));
    const before = added();
    expect(await products.float32(device).data()).toEqual(sync.float32);
    expect(added()).toBe(before);
    for (const name of ['packed', 'gradient', 'packed', 'gradient'] as const)
      expect(await products[name](device).data()).toEqual(sync[name]);
    expect(added()).toBe(before + 2);
  });

  it('gives the bits of the addon for packed weights', async () => {
    const wasm = await createDevice({ backend: 'wasm', threads: 3 });
    const native = await createDevice({ backend: 'native' });
    onTestFinished(() => [wasm, native].forEach((each) => void each.dispose()));
    expect(await products.packed(wasm).data()).toEqual(await products.packed(native).data());
  });

  it('names a missing part, and fails only the commands that need it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    copyFileSync('wasm/dist/simd128.wasm', join(folder, 'simd128.wasm'));
    const device = await createDevice({ backend: 'wasm', isa: 'simd128', threads: 1, wasmUrl: folder });
    onTestFinished(() => device.dispose());
    const failed = products.packed(device).data();
    await expect(failed).rejects.toThrow(DeviceError);
    await expect(failed).rejects.toThrow(/simd128-packed\.wasm/);
    expect((await products.float32(device).data()).length).toBe(40 * 96);
  });
});
