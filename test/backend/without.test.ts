// Runtimes in which something is missing or forbidden.
import { afterEach, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** The modules as they load now. */
async function fresh<T>(load: () => Promise<T>): Promise<T> {
  vi.resetModules();
  return load();
}

it('without WebAssembly, as with `node --jitless`, the package loads, and only devices that need it fail', async () => {
  vi.stubGlobal('WebAssembly', undefined);
  const { createDevice } = await fresh(() => import('../../src/index.js'));
  const native = await createDevice({ backend: 'native' });
  expect(native.tensor([1, 2]).dataSync()).toEqual(Float32Array.of(1, 2));
  native.dispose();
  await expect(createDevice({ backend: 'wasm' })).rejects.toThrow(
    /^createDevice: this runtime has these instruction sets: none: it has no WebAssembly/,
  );
});

it('a process that may not start workers has one thread, and gives the reason', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const permission = { value: { has: (scope: string) => scope !== 'worker' } };
  vi.stubGlobal('process', Object.create(process, { permission }));
  const { threadsHere } = await fresh(() => import('../../src/backend/wasm-threads.js'));
  expect([await threadsHere(undefined), await threadsHere(3)]).toEqual([1, 1]);
  expect(warn.mock.calls).toEqual([[expect.stringMatching(/on one thread: .*--allow-worker/)]]);
});
