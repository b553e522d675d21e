import { describe, expect, it } from 'vitest';
import { AutogradError } from '../../src/index.js';
import { mul } from '../../src/ops/index.js';
import { clipGradNorm } from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { allowedError, assertClose } from '../tolerance.js';
import { draw, normOf, setGradients } from './gradients.js';

describe('clipGradNorm', () => {
  it.each(isas)('%s: scales gradients to the norm and returns the norm before', async (isa) => {
    const { params, grads } = draw(1);
    const norm = normOf(grads[0]!);
    for (const threads of [1, 3]) {
      const device = await deviceFor(isa, threads);
      for (const maxNorm of [norm / 7, norm * 2]) {
        const tensors = params.map((values) => device.tensor(values, undefined, { requiresGrad: true }));
        setGradients(tensors, grads[0]!);
        expect(await clipGradNorm(tensors, maxNorm).item()).toBe(Math.fround(norm)); // summed in float64
        const factor = Math.min(1, maxNorm / (norm + 1e-6));
        for (const [k, tensor] of tensors.entries()) {
          const expected = Float64Array.from(grads[0]![k]!, (g) => factor * g);
          assertClose(`gradient ${k}`, await tensor.grad!.data(), expected, (i) =>
            allowedError(1, Math.abs(expected[i]!)),
          );
        }
      }
    }
  });

  it('refuses views, whose gradients may have gaps, without taking memory', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([3, 100, 4, 100], [2, 2], { requiresGrad: true });
    mul(x, x).backward(Float32Array.of(1, 1, 1, 1));
    const left = x.columns(0, 1);
    const { used } = device.memory();
    expect(() => clipGradNorm([left], 1)).toThrow(AutogradError);
    expect(() => clipGradNorm([left], 1)).toThrow(
      'clipGradNorm: params[0] is a view or the result of an op, expected a leaf',
    );
    expect(() => clipGradNorm([x, x], 1)).toThrow('clipGradNorm: a parameter is given twice');
    expect(() => clipGradNorm([x], 0)).toThrow('clipGradNorm: maxNorm is 0, expected a positive number');
    expect(device.memory().used).toBe(used);
  });

  it('can be recorded', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([3, 4], undefined, { requiresGrad: true });
    const program = device.record(() => {
      mul(x, 1).backward([3, 4]);
      return clipGradNorm([x], 1);
    });
    expect(await program.run().item()).toBe(5);
    assertClose('the gradient', await x.grad!.data(), [0.6, 0.8], () => 1e-6);
    program.dispose();
  });

  it('neither overflows nor underflows if the norm fits a float', async () => {
    const device = await deviceFor(isas[0]!, 1);
    for (const size of [1e30, 1e-30]) {
      const x = device.tensor([0, 0], undefined, { requiresGrad: true });
      setGradients([x], [Float32Array.of(3 * size, 4 * size)]);
      expect((await clipGradNorm([x], 1).item()) / (5 * size)).toBeCloseTo(1, 6);
    }
  });

  it('does not change gradients that are not finite', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([0, 0], undefined, { requiresGrad: true });
    setGradients([x], [Float32Array.of(Infinity, 5)]);
    expect(await clipGradNorm([x], 1).item()).toBe(Infinity);
    expect([...x.grad!.dataSync()]).toEqual([Infinity, 5]);
    expect(() => clipGradNorm([device.zeros([1])], 1)).toThrow('clipGradNorm: no parameter has a gradient');
  });
});
