// Programs beside each other, and beside what is computed at once.

import { afterAll, describe, expect, it } from 'vitest';
import { AutogradError, createDevice, DisposedError, SimdformerError } from '../../src/index.js';
import { add, mul, sum } from '../../src/ops/index.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());
const leaf = (data: number[]) => device.tensor(data, [data.length], { requiresGrad: true });

describe('programs', () => {
  it('keep tensors of disposed programs that they use', async () => {
    const before = device.memory().used;
    const x = device.tensor(new Float32Array(64).fill(2));
    const inner = device.record(() => mul(x, x));
    inner.run();
    const outer = device.record(() => add(inner.result, 1));
    inner.dispose();
    const others = Array.from({ length: 20 }, () => device.full([64], 99));
    outer.run();
    expect(await outer.result.data()).toEqual(new Float32Array(64).fill(5));
    expect(await (others[0] as (typeof others)[number]).data()).toEqual(new Float32Array(64).fill(99));
    expect(() => add(inner.result, 1)).toThrow(DisposedError);
    outer.dispose();
    for (const tensor of [x, ...others]) tensor.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('write to their results, which backward detects', async () => {
    const x = device.tensor([1, 2, 3]);
    const program = device.record(() => mul(x, 2));
    program.run();
    const w = leaf([1, 1, 1]);
    const y = sum(mul(program.result, w));
    x.write([10, 20, 30]);
    program.run();
    expect(() => y.backward()).toThrow(AutogradError);
    sum(mul(program.result, w)).backward();
    expect(await w.grad?.data()).toEqual(Float32Array.of(20, 40, 60));
  });

  it('can be differentiated after runs, because their own runs do not count as changes', async () => {
    const x = leaf([1, 2, 3]);
    const program = device.record(() => sum(mul(x, x)));
    program.run();
    program.run();
    program.result.backward();
    expect(await x.grad?.data()).toEqual(Float32Array.of(2, 4, 6));
  });

  it('do not run while another is recorded', async () => {
    const x = device.tensor([1, 2, 3]);
    const program = device.record(() => mul(x, 2));
    expect(() => device.record(() => program.run())).toThrow(SimdformerError);
    expect(() => device.record(() => program.profile())).toThrow(/program\.profile: a program is being recorded/);
    expect(await program.run().data()).toEqual(Float32Array.of(2, 4, 6));
  });

  it('free the views that they made of outer tensors', () => {
    const before = device.memory().used;
    const x = device.tensor(new Float32Array(1000));
    const program = device.record(() => sum(mul(x.columns(0, 500), x.detach().rows(500, 1000))));
    program.run();
    device.flushSync();
    program.dispose();
    x.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('refuse to write gradients that were disposed of', async () => {
    const x = leaf([1, 2]);
    const program = device.record(() => sum(mul(x, x)).backward());
    program.run();
    x.grad?.dispose();
    expect(() => program.run()).toThrow(DisposedError);
    sum(x).backward();
    expect(await x.grad?.data()).toEqual(Float32Array.of(1, 1));
  });
});
