// Same as test/backend/worker.test.ts, through the bundle, because workers in Node cannot load TypeScript.
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pagePackage } from '../build-once.js';
import { describeWith } from '../equipment.js';
import * as here from '../simdformer.js';
import { allowedError, assertClose, largest } from '../tolerance.js';
import { build, source, target } from './models.js';

describeWith(['WebAssembly'], 'a model on a device in a worker', () => {
  let there: typeof here;
  let device: here.Device;
  let model: here.Transformer;

  beforeAll(async () => {
    const folder = await pagePackage();
    const all = here.parts.map((part) => import(/* @vite-ignore */ pathToFileURL(`${folder}/${part}.js`).href));
    there = Object.assign({}, ...(await Promise.all(all)));
    device = await there.createDevice({ backend: 'wasm', worker: true, threads: 1 });
    model = build(device, { positions: 'shaw', norm: 'pre' }, there.Transformer);
  });
  afterAll(() => device.dispose());

  it('gives the trace of this thread', async () => {
    const addon = await here.createDevice();
    const expected = await here.trace(build(addon, { positions: 'shaw', norm: 'pre' }), source, target);
    const traced = await there.trace(model, source, target);
    const { data } = expected.logits;
    assertClose('logits', traced.logits.data, data, () => allowedError(200, 2 * largest(data)));
    expect(traced.decoder?.layers[1]?.crossAttention?.inside.weights.shape).toEqual([4, target.length, source.length]);
    addon.dispose();
  });

  it('generates without heads, and with them again', async () => {
    const write = async () => (await model.generate([source], { maxNewTokens: 6 })).scores;
    const heads = [0, 1, 2, 3].map((head) => ({ attention: 'cross', layer: 0, head }) as const);
    const before = await write();
    expect(await there.withoutHeads(model, heads, write)).not.toEqual(before);
    expect(await write()).toEqual(before);
  });
});
