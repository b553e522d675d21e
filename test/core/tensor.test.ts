import { afterAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  AutogradError,
  CommandError,
  createDevice,
  DeviceError,
  DisposedError,
  DTypeError,
  ShapeError,
  type SimdformerError,
  type Tensor,
} from '../../src/index.js';
import {
  add,
  argmax,
  attention,
  crossEntropy,
  embedding,
  layerNorm,
  linear,
  matmul,
  mul,
  softmax,
} from '../../src/ops/index.js';

const device = await createDevice({ threads: 2 });
const other = await createDevice({ threads: 1 });
afterAll(() => {
  device.dispose();
  other.dispose();
});

const floats = (...shape: number[]) => device.zeros(shape);
const leaf = () => device.tensor([1, 2], [2], { requiresGrad: true });
const ints = (...values: number[]) => device.tensor(Int32Array.from(values), [values.length]);
/** An id that only the run knows, int32 [1]. */
const computed = (id: number) => argmax(device.tensor([[...new Array(id).fill(0), 1]]), { axis: 1 });

it('prints as a line of text, also in the console of Node', () => {
  const x = device.tensor([[1, 2, 3]]);
  const inspect = (x as unknown as Record<symbol, () => string>)[Symbol.for('nodejs.util.inspect.custom')];
  for (const text of [String(x), inspect?.call(x)])
    expect(text).toBe(`Tensor(float32 [1, 3] on ${device.info.backend})`);
});

describe('tensors', () => {
  it('are made from typed arrays and nested numbers', async () => {
    const nested = device.tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(nested).toMatchObject({ shape: [2, 2], dtype: 'float32', size: 4, requiresGrad: false, grad: null });
    expect(device.tensor(7).shape).toEqual([]);
    expect(await device.tensor(7).item()).toBe(7);
    expect(device.tensor(Int32Array.of(1, -2), [2, 1])).toMatchObject({ shape: [2, 1], dtype: 'int32' });
    expect(device.tensor([1, 2], [2], { dtype: 'int32' }).dataSync()).toEqual(Int32Array.of(1, 2));
    expect(String(nested)).toBe(`Tensor(float32 [2, 2] on ${device.info.backend})`);
  });

  // Pages have it only if they are isolated.
  it.runIf(typeof SharedArrayBuffer === 'function')('come from shared memory', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(20), 4, 3);
    shared.set([1, 2, 3]);
    const x = device.tensor(shared);
    shared.fill(0);
    expect(await x.data()).toEqual(Float32Array.of(1, 2, 3));
    x.write(shared);
    expect(await x.data()).toEqual(Float32Array.of(0, 0, 0));
  });

  it('refuse invalid values by name, and leave nothing behind', () => {
    const before = device.memory().used;
    expect(() => device.tensor(Int32Array.of(1), [1], { requiresGrad: true })).toThrow(DTypeError);
    const x = device.tensor([1, 2]);
    expect(() => x.reshape(10n as unknown as number)).toThrow(/reshape: \[2\] does not fit \[10n\]/);
    expect(() => x.columns(Symbol('a') as unknown as number, 1)).toThrow(/columns: Symbol\(a\) to 1 is out of range/);
    expect(() => device.unscoped(async () => x)).toThrow(/unscoped: fn is asynchronous/);
    x.dispose();
    expect(() => x.dataSync()).toThrow(/data: a tensor \[2\] has already been disposed/);
    expect(device.memory().used).toBe(before);
    const leaf = device.tensor([1, 2], [2], { requiresGrad: true });
    expect(() => leaf.backward(x)).toThrow(/backward: upstream: a tensor \[2\] has already been disposed/);
  });

  it('have views of other shapes, of columns and of rows', () => {
    const x = device.tensor(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [3, 4],
    );
    expect(x.reshape(-1, 6).shape).toEqual([2, 6]);
    expect(x.columns(1, 3).dataSync()).toEqual(Float32Array.of(1, 2, 5, 6, 9, 10));
    expect(x.rows(1, 3).columns(3, 4).dataSync()).toEqual(Float32Array.of(7, 11));
    expect(x.columns(1, 3).reshape(3, 1, 2).dataSync()).toEqual(Float32Array.of(1, 2, 5, 6, 9, 10));
    x.write(new Float32Array(12).fill(5));
    expect(x.columns(0, 1).dataSync()).toEqual(Float32Array.of(5, 5, 5));
  });

  it('share memory with their views until the last is disposed of', () => {
    const x = device.tensor([1, 2, 3]);
    const view = x.columns(1, 2);
    x.dispose();
    x.dispose();
    expect(view.dataSync()).toEqual(Float32Array.of(2));
    view.dispose();
    expect(() => view.dataSync()).toThrow(DisposedError);
  });
});

describe('bad input is a typed error that names the op, and the device goes on', () => {
  const disposed = () => {
    const x = floats(2, 2);
    x.dispose();
    return x;
  };
  type Bad = [what: string, act: () => unknown, error: new (...args: never[]) => SimdformerError, message: RegExp];
  const bad: Bad[] = [
    ['ragged numbers', () => device.tensor([[1, 2], [3]]), ShapeError, /equally long/],
    ['numbers of uneven depth', () => device.tensor([[1], 2]), ShapeError, /equally deep/],
    ['text for numbers', () => device.tensor(['a'] as unknown as number[]), DTypeError, /got "a"/],
    ['a fraction as int32', () => device.tensor([0.5], [1], { dtype: 'int32' }), DTypeError, /0.5/],
    ['NaN as int32', () => device.tensor([Number.NaN], [1], { dtype: 'int32' }), DTypeError, /NaN/],
    ['data that does not fill the shape', () => device.tensor([1, 2, 3], [2, 2]), ShapeError, /\[3\].*\[2, 2\]/],
    ['a typed array of another type', () => device.tensor(new Float64Array(2) as never, [2]), DTypeError, /Float64/],
    ['an unknown dtype', () => device.tensor([1], [1], { dtype: 'float64' as 'float32' }), DTypeError, /float64/],
    ['a number for a shape', () => device.tensor([1, 2], 2 as never), ShapeError, /2 is not a valid shape/],
    ['a dimension of 0', () => device.empty([2, 0]), ShapeError, /\[2, 0\]/],
    ['a dimension of NaN', () => device.empty([Number.NaN]), ShapeError, /NaN/],
    ['a fractional dimension', () => device.empty([1.5]), ShapeError, /1.5/],
    ['an impossible reshape', () => floats(2, 3).reshape(4, -1), ShapeError, /reshape/],
    ['two unknown dimensions', () => floats(2, 3).reshape(-1, -1), ShapeError, /reshape/],
    ['columns that are not there', () => floats(2, 3).columns(1, 4), ArgumentError, /columns: 1 to 4/],
    ['columns from NaN', () => floats(2, 3).columns(Number.NaN, 2), ArgumentError, /columns: NaN/],
    ['no rows', () => floats(2, 3).rows(1, 1), ArgumentError, /rows: 1 to 1/],
    ['writing another shape', () => floats(2, 3).write([[1, 2]]), ShapeError, /write.*\[1, 2\].*\[2, 3\]/],
    ['writing to a view with gaps', () => floats(2, 3).columns(0, 2).write([1, 2, 3, 4]), ShapeError, /gaps/],
    ['a gradient of integers', () => Object.assign(ints(1), { requiresGrad: true }), DTypeError, /float32/],
    [
      'a gradient of a view',
      () => Object.assign(floats(2).columns(0, 1), { requiresGrad: true }),
      AutogradError,
      /view/,
    ],
    ['backward of a leaf', () => floats(1).backward(), AutogradError, /backward/],
    ['reading a disposed tensor', () => disposed().dataSync(), DisposedError, /\[2, 2\]/],
    ['an op on a disposed tensor', () => matmul(disposed(), floats(2, 2)), DisposedError, /matmul/],
    ['tensors of two devices', () => add(floats(2), other.zeros([2])), DeviceError, /add/],
    [
      'lengths of another device',
      () => {
        const x = floats(1, 2, 4);
        return attention(x, x, x, { lengthsK: other.tensor(Int32Array.of(1)) });
      },
      DeviceError,
      /attention: lengthsK/,
    ],
    ['undefined for a tensor', () => matmul(undefined as unknown as Tensor, floats(2, 2)), ArgumentError, /matmul/],
    ['an array for a tensor', () => add([1] as unknown as Tensor, floats(1)), ArgumentError, /add/],
    [
      'inner dimensions that differ',
      () => matmul(floats(2, 3), floats(4, 5)),
      ShapeError,
      /matmul.*\[2, 3\].*\[4, 5\]/,
    ],
    ['shapes that do not broadcast', () => mul(floats(2, 3), floats(2)), ShapeError, /mul.*\[2, 3\].*\[2\]/],
    ['a weight that does not fit', () => linear(floats(2, 3), floats(4, 5)), ShapeError, /linear.*\[2, 3\].*\[4, 5\]/],
    [
      'an unknown activation',
      () => linear(floats(2, 3), floats(3, 5), null, { activation: 'x' as 'relu' }),
      ArgumentError,
      /linear/,
    ],
    ['integers for floats', () => matmul(ints(1).reshape(1, 1), floats(1, 1)), DTypeError, /matmul.*int32/],
    ['floats for ids', () => embedding(floats(4, 2), floats(3)), DTypeError, /embedding.*float32/],
    ['a gamma of another width', () => layerNorm(floats(2, 3), floats(4), null), ShapeError, /layerNorm.*gamma/],
    ['an eps of NaN', () => layerNorm(floats(2, 3), null, null, { eps: Number.NaN }), ArgumentError, /eps/],
    ['an axis that is not there', () => softmax(floats(2, 3), { axis: 2 }), ArgumentError, /axis 2/],
    [
      'heads that do not divide',
      () => attention(floats(2, 4), floats(2, 4), floats(2, 4), { heads: 3 }),
      ShapeError,
      /attention/,
    ],
    [
      'NaN lengths',
      () => attention(floats(1, 2, 4), floats(1, 2, 4), floats(1, 2, 4), { lengthsK: [Number.NaN] }),
      ArgumentError,
      /attention.*NaN/,
    ],
    [
      'lengths beyond the rows',
      () => attention(floats(1, 2, 4), floats(1, 2, 4), floats(1, 2, 4), { lengthsQ: [3] }),
      ArgumentError,
      /attention.*3/,
    ],
    ['targets of another shape', () => crossEntropy(floats(2, 5), ints(1, 2, 3)), ShapeError, /crossEntropy/],
    ['an id outside the vocabulary', () => embedding(floats(4, 2), ints(0, 4)), ArgumentError, /embedding: row 1 .* 4/],
    ['a negative id', () => embedding(floats(4, 2), ints(-1)), ArgumentError, /embedding: row 0 .* -1/],
    [
      'a target outside the classes',
      () => crossEntropy(floats(2, 5), ints(1, 5)),
      ArgumentError,
      /crossEntropy: row 1/,
    ],
    [
      'a computed id outside the vocabulary',
      () => embedding(floats(4, 2), computed(4)).dataSync(),
      CommandError,
      /embedding/,
    ],
    [
      'a computed target outside the classes',
      () => crossEntropy(floats(1, 3), computed(3)).dataSync(),
      CommandError,
      /crossEntropy/,
    ],
    [
      'a length that a tensor holds and the rows do not',
      () => attention(floats(1, 2, 4), floats(1, 2, 4), floats(1, 2, 4), { lengthsK: ints(-3) }).dataSync(),
      CommandError,
      /attention/,
    ],
    [
      'a Promise',
      () => device.tensor(Promise.resolve([1]) as never),
      DTypeError,
      /^tensor: expected numbers, got a Promise$/,
    ],
    ['null', () => floats(1).write(null as never), DTypeError, /^write: expected numbers, got null$/],
    ['an upstream of another shape', () => leaf().backward([1]), ShapeError, /^backward: upstream: the data is \[1\]/],
    ['an upstream of text', () => leaf().backward('1' as never), DTypeError, /^backward: upstream: .* got "1"$/],
    [
      'an upstream elsewhere',
      () => leaf().backward(other.zeros([2])),
      DeviceError,
      /^backward: upstream is on another/,
    ],
    ['an op that the engine lacks', () => device.emit('fly', {}), Error as never, /'fly'.*rebuild/],
    ['a command without its operand', () => device.emit('copy', {}), Error as never, /copy.*'x'/],
  ];
  it.each(bad)('%s', async (_, act, error, message) => {
    let thrown: unknown;
    try {
      act();
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toBeInstanceOf(error);
    expect((thrown as Error).message).toMatch(message);
    expect(await add(device.tensor([1, 2]), 1).data()).toEqual(Float32Array.of(2, 3));
  });

  it('rejects an asynchronous read in the same way, and names the command', async () => {
    const y = embedding(floats(4, 2), computed(9));
    const error = await y.data().catch((caught) => caught);
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ name: 'CommandError', op: 'embedding', index: expect.any(Number) });
    expect(await add(device.tensor([1, 2]), 1).data()).toEqual(Float32Array.of(2, 3));
  });

  it('reports the error of commands that ran without being asked at the next synchronous read', async () => {
    const y = embedding(floats(4, 2), computed(9));
    device.queue.flush();
    for (let i = 0; i < 50 && !device.queue.idle; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(() => y.dataSync()).toThrow(CommandError);
    expect(add(device.tensor([1, 2]), 1).dataSync()).toEqual(Float32Array.of(2, 3));
  });
});
