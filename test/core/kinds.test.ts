// Values of other realms, as an iframe's or what Node itself makes in Jest: they are not an `instanceof` of this one's classes.
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, Transformer } from '../../src/index.js';

/** Result of a script in a realm of its own. */
const elsewhere: (script: string) => Promise<unknown> =
  typeof document === 'undefined'
    ? async (script) => (await import('node:vm')).runInNewContext(script)
    : async (script) => {
        const frame = document.body.appendChild(document.createElement('iframe'));
        return (frame.contentWindow as unknown as { eval(script: string): unknown }).eval(script);
      };

/** An AbortController, or a substitute, because realms of `node:vm` have none. */
const controller =
  'typeof AbortController === "undefined" ? { signal: { throwIfAborted() {} } } : new AbortController()';

describe('values of another realm', async () => {
  const device = await createDevice({ threads: 1 });
  afterAll(() => device.dispose());

  it('are recognized as tensors of their types', async () => {
    const floats = device.tensor((await elsewhere('Float32Array.of(1, 2)')) as Float32Array);
    expect([floats.dtype, ...(await floats.data())]).toEqual(['float32', 1, 2]);
    const ints = device.tensor((await elsewhere('Int32Array.of(1, 2)')) as Int32Array);
    expect([ints.dtype, ...(await ints.data())]).toEqual(['int32', 1, 2]);
    const doubles = (await elsewhere('Float64Array.of(1, 2)')) as Float32Array;
    expect(() => device.tensor(doubles)).toThrow('expected a Float32Array for a float32 tensor, got a Float64Array');
  });

  it('are recognized as tokens, signals and files', async () => {
    const model = new Transformer(device, { dModel: 8, heads: 2, encoderLayers: 0, decoderLayers: 1, targetVocab: 9 });
    const rows = (await elsewhere('[Int32Array.of(1, 2)]')) as Int32Array[];
    const { signal } = (await elsewhere(controller)) as AbortController;
    const { sequences } = await model.generate(rows, { maxNewTokens: 2, signal });
    expect(sequences[0]).toHaveLength(2);
    const files = Object.entries(await model.toFiles());
    const copy = (await elsewhere('(bytes) => Uint8Array.from(bytes)')) as (bytes: Uint8Array) => Uint8Array;
    const again = await Transformer.fromFiles(
      device,
      Object.fromEntries(files.map(([name, bytes]) => [name, copy(bytes)])),
    );
    expect(again.config).toEqual(model.config);
  });

  it('are refused if they are promises', async () => {
    const fn = (await elsewhere('(async () => { throw new Error("unheard") })')) as () => never;
    expect(() => device.scope(fn)).toThrow(/^scope: fn is asynchronous/);
  });
});
