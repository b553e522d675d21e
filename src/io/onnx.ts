/**
 * Reads the ONNX format (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): nodes of a graph and the tensors that
 * they read. Nested graphs, such as those of If, are read as parts of the outer graph.
 *
 * A file is untrusted input: all data of a tensor must lie inside the file, or in a file in the same folder.
 */

import { FormatError } from '../core/errors.js';
import { type ByteSource, bytesOf } from './byte-source.js';
import { dtypes, quote, type SafetensorsDType } from './dtypes.js';
import { type Field, ProtobufReader } from './protobuf.js';

/** Element types. INT4 and UINT4 have two elements per byte, the low half first. */
export type OnnxDType = SafetensorsDType | 'I4' | 'U4';

/** A tensor of a file, with the position of its data: in `source`, or in another file of the same folder. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly position: number;
  readonly source: ByteSource | { readonly file: string };
  /** True for the value of a Constant node. Its name is the name of the node's output. */
  readonly isConstant?: boolean;
}

export interface OnnxNode {
  /**
   * The names of older exporters are paths of modules: `/layers/0/linear/MatMul`. Those of newer ones get the path that
   * the node's metadata have.
   */
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integer attributes by name. */
  readonly attributes: ReadonlyMap<string, number>;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  /** Initializers, and values of Constant nodes by the name of their output. */
  readonly tensors: ReadonlyMap<string, OnnxTensor>;
  /** Names of parameters from which torch's exporter has computed a constant, by the name of the constant. */
  readonly foldedFrom?: ReadonlyMap<string, string> | undefined;
}

const DTYPES: Readonly<Record<number, OnnxDType>> = {
  1: 'F32',
  2: 'U8',
  3: 'I8',
  4: 'U16',
  5: 'I16',
  6: 'I32',
  7: 'I64',
  9: 'BOOL',
  10: 'F16',
  11: 'F64',
  12: 'U32',
  13: 'U64',
  16: 'BF16',
  17: 'F8_E4M3',
  19: 'F8_E5M2',
  21: 'U4',
  22: 'I4',
};

/** The key of the modules around a node, in metadata that torch writes. */
const SCOPES = 'pkg.torch.onnx.name_scopes';
/** The key of the names from which a constant was computed. */
const FOLDED = 'pkg.onnxscript.optimizer.folded_from';

const MAX_DEPTH = 8;
const MAX_DIMENSIONS = 64;
/** Maximum bytes of numbers in typed fields. Only small tensors use them instead of raw bytes. */
const MAX_LISTED = 1 << 24;

/** Reads the graph of a file, without the data of its tensors. Throws FormatError. */
export async function readOnnx(source: ByteSource): Promise<OnnxGraph> {
  const reader = new ProtobufReader(source);
  const graph = { nodes: [], tensors: new Map<string, OnnxTensor>(), foldedFrom: new Map<string, string>() };
  let found = false;
  for await (const field of reader.fields(0, source.size)) {
    if (field.number !== 7) continue;
    found = true;
    await new GraphReader(reader, source, graph).graph(field, 0);
  }
  if (!found) throw new FormatError('this is not an ONNX file: it has no graph');
  return graph;
}

class GraphReader {
  constructor(
    private readonly reader: ProtobufReader,
    private readonly source: ByteSource,
    private readonly found: {
      readonly nodes: OnnxNode[];
      readonly tensors: Map<string, OnnxTensor>;
      readonly foldedFrom: Map<string, string>;
    },
  ) {}

  async graph({ start, end }: Field, depth: number): Promise<void> {
    if (depth > MAX_DEPTH) throw new FormatError(`graphs are nested deeper than ${MAX_DEPTH}`);
    for await (const field of this.reader.fields(start, end)) {
      if (field.number === 1) await this.#node(field, depth);
      else if (field.number === 5) this.#add(await this.#tensor(field));
      else if (field.number === 13) await this.#value(field);
    }
  }

  /** Reads the description of a value, which may name the only parameter from which it was computed. */
  async #value({ start, end }: Field): Promise<void> {
    let name = '';
    for await (const field of this.reader.fields(start, end))
      if (field.number === 1) name = await this.reader.text(field);
      else if (field.number === 4) {
        const [key, value] = await this.#entry(field);
        const parameter = key === FOLDED ? /^\['([\w.-]+)'\]$/.exec(value)?.[1] : undefined;
        if (parameter !== undefined) this.found.foldedFrom.set(name, parameter);
      }
  }

  /** Adds a tensor. If graphs have tensors of the same name, the first one is used. */
  #add(tensor: OnnxTensor | null): void {
    if (tensor !== null && !this.found.tensors.has(tensor.name)) this.found.tensors.set(tensor.name, tensor);
  }

  async #node({ start, end }: Field, depth: number): Promise<void> {
    const { reader } = this;
    const [inputs, outputs]: [string[], string[]] = [[], []];
    const attributes = new Map<string, number>();
    let [name, op, scope] = ['', '', ''];
    let constant: OnnxTensor | null = null;
    for await (const field of reader.fields(start, end)) {
      if (field.number === 1) inputs.push(await reader.text(field));
      else if (field.number === 2) outputs.push(await reader.text(field));
      else if (field.number === 3) name = await reader.text(field);
      else if (field.number === 4) op = await reader.text(field);
      else if (field.number === 5) constant = (await this.#attribute(field, attributes, depth)) ?? constant;
      else if (field.number === 9) scope = (await this.#scope(field)) ?? scope;
    }
    if (scope !== '' && !name.startsWith('/')) name = `/${scope.replaceAll('.', '/')}/${name}`;
    this.found.nodes.push({ name, op, inputs, outputs, attributes });
    const [output] = outputs;
    if (op === 'Constant' && constant !== null && output !== undefined)
      this.#add({ ...constant, name: output, isConstant: true });
  }

  /** Reads metadata. Returns the path of the module that the node computes, or null for other metadata. */
  async #scope({ start, end }: Field): Promise<string | null> {
    let isScopes = false;
    for await (const field of this.reader.fields(start, end))
      if (field.number === 1) isScopes = (await this.reader.text(field)) === SCOPES;
      // A list of texts as Python writes it: the modules from the outer to the inner one, then the operation.
      else if (field.number === 2 && isScopes)
        return /'([\w.-]+)', '[^']*'\]$/.exec(await this.reader.text(field))?.[1] ?? null;
    return null;
  }

  /** Reads an attribute. Returns its tensor, or null if it has none. */
  async #attribute({ start, end }: Field, attributes: Map<string, number>, depth: number): Promise<OnnxTensor | null> {
    let name = '';
    let integer: number | undefined;
    let tensor: OnnxTensor | null = null;
    for await (const field of this.reader.fields(start, end)) {
      if (field.number === 1) name = await this.reader.text(field);
      else if (field.number === 3) integer = field.value;
      else if (field.number === 5) tensor = await this.#tensor(field);
      else if (field.number === 6) await this.graph(field, depth + 1);
    }
    if (integer !== undefined) attributes.set(name, integer);
    return tensor;
  }

  /** Reads a tensor. Returns null for tensors of strings and complex numbers, which are not weights. */
  async #tensor({ start, end }: Field): Promise<OnnxTensor | null> {
    const { reader } = this;
    let shape: number[] = [];
    let [name, type, isExternal] = ['', 0, false];
    const external = new Map<string, string>();
    let raw: Field | null = null;
    let listed: Field[] = [];
    for await (const field of reader.fields(start, end)) {
      const { number } = field;
      if (number === 1) shape = [...shape, ...(await reader.integers(field, 10 * MAX_DIMENSIONS))];
      else if (number === 2) type = field.value;
      else if (number === 8) name = await reader.text(field);
      else if (number === 9) raw = field;
      else if (number === 13) external.set(...(await this.#entry(field)));
      else if (number === 14) isExternal = field.value === 1;
      else if ([4, 5, 7, 10, 11].includes(number)) listed = [...listed, field];
    }
    const dtype = DTYPES[type];
    if (dtype === undefined) return null;
    const byteLength = byteLengthOf(name, dtype, shape);
    const tensor = { name, dtype, shape, byteLength };
    if (isExternal) return { ...tensor, ...externalPlace(name, external, byteLength) };
    const bytes = raw === null ? await this.#listed(listed, dtype) : null;
    const length = bytes?.byteLength ?? (raw as Field).end - (raw as Field).start;
    if (length !== byteLength)
      throw new FormatError(`tensor ${quote(name)} [${shape.join(', ')}] has ${length} bytes, expected ${byteLength}`);
    if (bytes === null) return { ...tensor, position: (raw as Field).start, source: this.source };
    const view = (position: number, count: number) => bytes.subarray(position, position + count);
    const source = {
      size: length,
      view,
      read: (offset: number, into: Uint8Array) => into.set(view(offset, into.length)),
    };
    return { ...tensor, position: 0, source };
  }

  /** Numbers in typed fields: floats are stored as they are, integers are varints. */
  async #listed(fields: readonly Field[], dtype: OnnxDType): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (const field of fields) {
      if (field.number === 4 || field.number === 10) parts.push((await this.reader.bytes(field, MAX_LISTED)).slice());
      else parts.push(stored(await this.reader.integers(field, MAX_LISTED), dtype));
    }
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of parts) {
      all.set(part, offset);
      offset += part.length;
    }
    return all;
  }

  async #entry({ start, end }: Field): Promise<[string, string]> {
    const texts: string[] = [];
    for await (const field of this.reader.fields(start, end)) texts[field.number - 1] = await this.reader.text(field);
    return [texts[0] ?? '', texts[1] ?? ''];
  }
}

/** Converts integers to the storage of a dtype. Halves are listed by their bits. */
function stored(values: readonly number[], dtype: OnnxDType): Uint8Array {
  if (dtype === 'I64' || dtype === 'U64') return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  const Ints = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[
    dtype === 'I4' || dtype === 'U4' ? 1 : dtypes[dtype].bytes
  ];
  return new Uint8Array((Ints ?? Uint32Array).from(values).buffer);
}

function byteLengthOf(name: string, dtype: OnnxDType, shape: readonly number[]): number {
  const isSize = (n: number) => Number.isSafeInteger(n) && n >= 0;
  const size = shape.reduce((product, n) => product * n, 1);
  if (shape.length > MAX_DIMENSIONS || !shape.every(isSize) || !isSize(8 * size))
    throw new FormatError(`tensor ${quote(name)} has the shape [${shape.slice(0, MAX_DIMENSIONS).join(', ')}]`);
  return dtype === 'I4' || dtype === 'U4' ? Math.ceil(size / 2) : size * dtypes[dtype].bytes;
}

function externalPlace(name: string, entries: ReadonlyMap<string, string>, byteLength: number) {
  const [file, offset, length] = [
    entries.get('location'),
    Number(entries.get('offset') ?? 0),
    Number(entries.get('length') ?? byteLength),
  ];
  if (!file || !Number.isSafeInteger(offset) || offset < 0 || length !== byteLength)
    throw new FormatError(
      `tensor ${quote(name)} is in another file, expected an offset and a length of ${byteLength} bytes`,
    );
  return { position: offset, source: { file } };
}

/** Reads all bytes of a tensor, from this file or from `beside`, the other file that has its data. */
export async function tensorBytes(
  { position, byteLength, source }: OnnxTensor,
  beside?: ByteSource,
): Promise<Uint8Array> {
  return bytesOf('file' in source ? (beside as ByteSource) : source, position, byteLength);
}
