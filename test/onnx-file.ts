// Writes ONNX files (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) for tests.

const utf8 = new TextEncoder();

export function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

type Value = number | string | readonly number[] | Uint8Array;

/** Fields of a message of protobuf: numbers, texts, and bytes of messages within. */
export function message(...fields: readonly (readonly [number: number, value: Value])[]): number[] {
  const bytes: number[] = [];
  for (const [number, value] of fields) {
    if (typeof value === 'number') {
      bytes.push(...varint(8 * number), ...varint(value));
      continue;
    }
    const content = typeof value === 'string' ? utf8.encode(value) : value;
    bytes.push(...varint(8 * number + 2), ...varint(content.length));
    for (const byte of content) bytes.push(byte);
  }
  return bytes;
}

export const floats = (...values: number[]) => [...new Uint8Array(Float32Array.from(values).buffer)];

export const ONNX_TYPES = { float: 1, uint8: 2, int8: 3, float16: 10, uint4: 21, int4: 22 } as const;

export const tensor = (name: string, dims: readonly number[], type: number, data: readonly number[] | Uint8Array) =>
  message(...dims.map((n) => [1, n] as const), [2, type], [8, name], [9, data]);

interface Node {
  readonly name?: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number>>;
  readonly metadata?: Readonly<Record<string, string>>;
}

export const node = ({ name = '', op, inputs, output, attributes = {}, metadata = {} }: Node) =>
  message(
    ...inputs.map((input) => [1, input] as const),
    [2, output],
    [3, name],
    [4, op],
    ...Object.entries(attributes).map(([key, value]) => [5, message([1, key], [3, value], [20, 2])] as const),
    ...Object.entries(metadata).map(([key, value]) => [9, message([1, key], [2, value])] as const),
  );

/** The description of a value that torch's exporter has computed from a parameter. */
export const foldedFrom = (name: string, parameter: string) =>
  message([1, name], [4, message([1, 'pkg.onnxscript.optimizer.folded_from'], [2, `['${parameter}']`])]);

/** A model whose graph has these initializers, nodes and descriptions of values. */
export function onnxModel(
  initializers: readonly number[][],
  nodes: readonly number[][] = [],
  values: readonly number[][] = [],
): Uint8Array {
  const graph = message(
    ...nodes.map((n) => [1, n] as const),
    ...initializers.map((t) => [5, t] as const),
    ...values.map((v) => [13, v] as const),
  );
  return Uint8Array.from(message([7, graph]));
}
