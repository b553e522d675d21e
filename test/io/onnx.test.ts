import { expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { inMemory } from '../../src/io/byte-source.js';
import { readOnnx, tensorBytes } from '../../src/io/onnx.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { openWeights } from '../../src/pretrained/weights.js';
import { floats, message, onnxModel as model, ONNX_TYPES, tensor } from '../onnx-file.js';

const utf8 = new TextEncoder();

const [FLOAT, INT8] = [ONNX_TYPES.float, ONNX_TYPES.int8];
const external = (name: string, entries: Readonly<Record<string, string>>) =>
  message(
    [1, 2],
    [2, FLOAT],
    [8, name],
    ...Object.entries(entries).map((e) => [13, message([1, e[0]], [2, e[1]])] as const),
    [14, 1],
  );

const open = async (files: Readonly<Record<string, Uint8Array>>) =>
  openWeights(await openSource({ 'config.json': utf8.encode('{}'), ...files }));

it('reads raw data, typed fields, and constants', async () => {
  const constant = message(
    [2, 'c'],
    [4, 'Constant'],
    [5, message([1, 'value'], [5, tensor('', [1], FLOAT, floats(4))])],
  );
  const file = model(
    [
      tensor('raw', [2], FLOAT, floats(1, 2)),
      message([1, 1], [2, FLOAT], [4, floats(3)], [8, 'listed']),
      message([1, [3]], [2, INT8], [5, [1, 2, 127]], [8, 'ints']),
    ],
    [constant],
  );
  const { tensors, nodes } = await readOnnx(inMemory(file));
  const bytes = async (name: string) => [...(await tensorBytes(tensors.get(name)!))];
  expect(await bytes('raw')).toEqual(floats(1, 2));
  expect(await bytes('listed')).toEqual(floats(3));
  expect(await bytes('ints')).toEqual([1, 2, 127]);
  expect(await bytes('c')).toEqual(floats(4));
  expect(nodes.map(({ op, outputs }) => [op, ...outputs])).toEqual([['Constant', 'c']]);
});

it('reads negative numbers in typed fields and attributes', async () => {
  /** A number in two's complement of 64 bits, seven bits per byte. */
  const negative = (value: bigint) => {
    const bits = BigInt.asUintN(64, value);
    return Array.from({ length: 10 }, (_, i) => Number((bits >> BigInt(7 * i)) & 127n) | (i < 9 ? 128 : 0));
  };
  const numbers = [-1n, -128n, -5n, -(2n ** 31n)].flatMap(negative);
  const axis = [...message([1, 'axis']), 8 * 3, ...negative(-1n)];
  const node = message([1, 'ints'], [2, 'y'], [4, 'Softmax'], [5, axis]);
  const file = model([message([1, [4]], [2, INT8], [5, numbers], [8, 'ints'])], [node]);
  const { tensors, nodes } = await readOnnx(inMemory(file));
  expect([...(await tensorBytes(tensors.get('ints')!))]).toEqual([255, 128, 251, 0]);
  expect(nodes[0]!.attributes.get('axis')).toBe(-1);
});

it('takes the axis of scales from the node that dequantizes a tensor', async () => {
  const dequantize = message(
    ...[1, 1, 1].map(
      (field, i) => [field, ['a.weight_quantized', 'a.weight_scale', 'a.weight_zero_point'][i]!] as const,
    ),
    [2, 'a.weight_dequantized'],
    [4, 'DequantizeLinear'],
    [5, message([1, 'axis'], [3, 0])],
  );
  const file = model(
    [
      tensor('a.weight_quantized', [2, 2], INT8, [1, 2, 3, 4]),
      tensor('a.weight_scale', [2], FLOAT, floats(1, 10)),
      tensor('a.weight_zero_point', [2], INT8, [0, 1]),
    ],
    [dequantize],
  );
  const { tensors } = await open({ 'model.onnx': file });
  expect([...(await tensors.get('a.weight')!.data())]).toEqual([1, 2, 20, 30]);
});

it('finds integers that are converted and multiplied with scales of their rows', async () => {
  const node = (op: string, inputs: readonly string[], output: string) =>
    message(...inputs.map((input) => [1, input] as const), [2, output], [4, op]);
  const file = model(
    [tensor('a.weight_q', [2, 2], INT8, [1, 2, 3, 255]), tensor('a.weight_scale', [2, 1], FLOAT, floats(0.5, 2))],
    [node('Cast', ['a.weight_q'], 'a.weight_f'), node('Mul', ['a.weight_f', 'a.weight_scale'], 'a.weight')],
  );
  const { tensors } = await open({ 'model.onnx': file });
  expect([...tensors.keys()]).toEqual(['a.weight']);
  expect([...(await tensors.get('a.weight')!.data())]).toEqual([0.5, 1, 6, -2]);
});

it('reads data from a file in the same folder', async () => {
  const weights = await open({
    'onnx/model.onnx': model([external('a.weight', { location: 'model.onnx_data', offset: '4', length: '8' })]),
    'onnx/model.onnx_data': Uint8Array.from(floats(1, 2, 3)),
  });
  expect([...(await weights.tensors.get('a.weight')!.data())]).toEqual([2, 3]);
  weights.close();
});

it.each<[string, Uint8Array, RegExp]>([
  ['no bytes', new Uint8Array(), /no graph/],
  ['text', utf8.encode('version https://git-lfs.github.com/spec/v1'), /FormatError|protobuf|past the end|wire/],
  ['a cut file', model([tensor('a', [2], FLOAT, floats(1, 2))]).slice(0, -3), /past the end/],
  ['too few data', model([tensor('a', [3], FLOAT, floats(1, 2))]), /"a" \[3\] has 8 bytes, expected 12/],
  ['a huge shape', model([tensor('a', [2 ** 40, 2 ** 40], FLOAT, [])]), /shape/],
  ['a file in the folder above', model([external('a', { location: '../x' })]), /is not the name of a file/],
  ['a file that is not there', model([external('a', { location: 'x' })]), /has no onnx\/x/],
  [
    'data past the end of another file',
    model([external('a', { location: 'model.onnx', offset: '999' })]),
    /ends at byte 1007/,
  ],
  ['a negative offset', model([external('a', { location: 'model.onnx', offset: '-4' })]), /another file/],
])('refuses %s', async (_, file, message) => {
  const opening = open({ 'onnx/model.onnx': file });
  await expect(opening).rejects.toThrow(FormatError);
  await expect(opening).rejects.toThrow(message);
});

it('refuses deeply nested graphs', async () => {
  let graph = message([2, 'inner']);
  for (let i = 0; i < 20; i++) graph = message([1, message([5, message([6, graph])])]);
  await expect(readOnnx(inMemory(Uint8Array.from(message([7, graph]))))).rejects.toThrow(/nested deeper/);
});
