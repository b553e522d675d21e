/**
 * Reads files of torch.save: `pytorch_model.bin`, `adapter_model.bin`, `*.pt`. A pickle describes tensors as views of
 * storages. Since torch 1.6, a zip archive holds both. In older files, the storages follow the pickle.
 *
 * A file is untrusted input. All tensors must lie inside their storages, and all storages inside the file, before any
 * data is read.
 */

import { FormatError } from '../core/errors.js';
import { type ByteSource, bytesOf, formatOf } from './byte-source.js';
import { dtypes, quote, type SafetensorsDType } from './dtypes.js';
import { describePickled, type PickleContext, PickleGlobal, PickleTuple, TruncatedPickle, unpickle } from './pickle.js';
import { type Safetensors, SafetensorsEntry } from './safetensors.js';
import { Strided } from './strided.js';
import { readZip, ZipData, type ZipRecord } from './zip.js';

/** Reads the header of a file and returns the tensors of its state dict by name. Throws FormatError. */
export async function readTorchFile(source: ByteSource): Promise<Safetensors> {
  const format = formatOf(await bytesOf(source, 0, Math.min(source.size, 512)));
  if (format === 'zip') return readArchive(source);
  if (format === 'pickle') return readLegacy(source);
  if (format === 'Git LFS pointer')
    throw new FormatError('this is a Git LFS pointer: fetch the file with git lfs pull');
  if (format === 'tar')
    throw new FormatError('this is a tar archive of a torch before 0.1.10: load it with torch and save it again');
  const found = format === 'HTML' ? 'a page of HTML' : format === null ? 'no known format' : `a ${format} file`;
  throw new FormatError(`this is ${found}, expected a file of torch.save`);
}

// Storages and tensors, in the form in which pickles describe them.

/** An array of numbers of one type; tensors are views of it. */
interface Storage {
  readonly key: string;
  /** Number of elements, or of bytes if the type is unknown. */
  readonly count: number;
  readonly byteLength: number;
}

/** A reference to a storage. `dtype` is null for bytes; the tensor then gives the type. */
interface StorageReference {
  readonly storage: Storage;
  readonly dtype: SafetensorsDType | null;
  /** Byte offset in the storage that contains this one; old files have nested storages. */
  readonly start: number;
  readonly byteLength: number;
}

class TorchTensor {
  constructor(
    readonly storage: Storage,
    readonly dtype: SafetensorsDType,
    /** Byte offset of the first number in the storage. */
    readonly start: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

const STORAGES: Readonly<Record<string, SafetensorsDType | null>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
  'torch.UntypedStorage': null,
  'torch.storage.UntypedStorage': null,
};

const DTYPES: Readonly<Record<string, SafetensorsDType>> = {
  'torch.float64': 'F64',
  'torch.float32': 'F32',
  'torch.float16': 'F16',
  'torch.bfloat16': 'BF16',
  'torch.float8_e4m3fn': 'F8_E4M3',
  'torch.float8_e5m2': 'F8_E5M2',
  'torch.int64': 'I64',
  'torch.int32': 'I32',
  'torch.int16': 'I16',
  'torch.int8': 'I8',
  'torch.uint64': 'U64',
  'torch.uint32': 'U32',
  'torch.uint16': 'U16',
  'torch.uint8': 'U8',
  'torch.bool': 'BOOL',
};

/** Functions of torch that pickles of state dicts call. */
const functions = new Map(
  Object.entries({
    'torch._utils._rebuild_tensor': ([storage, offset, shape, strides]: readonly unknown[]) =>
      viewOf(storage, null, offset, shape, strides),
    'torch._utils._rebuild_tensor_v2': ([storage, offset, shape, strides]: readonly unknown[]) =>
      viewOf(storage, null, offset, shape, strides),
    'torch._utils._rebuild_tensor_v3': ([storage, offset, shape, strides, , , dtype]: readonly unknown[]) =>
      viewOf(storage, dtype, offset, shape, strides),
    'torch._utils._rebuild_parameter': parameter,
    // Attributes of Python, which these two have beside the tensor, are ignored.
    'torch._utils._rebuild_parameter_with_state': parameter,
    'torch._tensor._rebuild_from_type_v2': ([build, , args]: readonly unknown[]) => {
      const known = build instanceof PickleGlobal && /^torch\._utils\._rebuild_tensor/.test(build.name);
      if (!known || !(args instanceof PickleTuple))
        throw new FormatError(
          `a tensor is built by ${describePickled(build)} of ${describePickled(args)}, expected one of its functions`,
        );
      return build.call?.(args.items);
    },
    'torch.Size': ([sizes]: readonly unknown[]) => sizes,
    'torch.device': ([type]: readonly unknown[]) => type,
  }).map(([name, call]) => [name, new PickleGlobal(name, call)]),
);

/** Types that tensors with attributes name. */
const TYPES = ['torch.Tensor', 'torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer'];

/** Tensors that torch knows and we refuse, with the nearest thing that can be read. */
const REFUSED: readonly (readonly [path: RegExp, what: string])[] = [
  [/^torch\.Complex\w+Storage$|^torch\.complex\d+$/, 'complex numbers: save torch.view_as_real(tensor)'],
  [/_rebuild_qtensor$|^torch\.Q\w+Storage$/, 'a quantized tensor: save tensor.dequantize()'],
  [/_rebuild_sparse\w*$/, 'a sparse tensor: save tensor.to_dense()'],
  [/_rebuild_nested_tensor$/, 'a nested tensor: save torch.nested.to_padded_tensor(tensor, 0)'],
];

function parameter([data]: readonly unknown[]): TorchTensor {
  if (data instanceof TorchTensor) return data;
  throw new FormatError(`a parameter has the data ${describePickled(data)}, expected a tensor`);
}

class Described {
  constructor(readonly value: unknown) {}
}

const MAX_DIMENSIONS = 64;
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function viewOf(from: unknown, type: unknown, offset: unknown, shape: unknown, strides: unknown): TorchTensor {
  const reference = from instanceof Described ? (from.value as StorageReference) : undefined;
  if (reference === undefined)
    throw new FormatError(`a tensor is a view of ${describePickled(from)}, expected a storage`);
  const dtype = reference.dtype ?? dtypeOf(type);
  const [sizes, steps] = [sizesOf('shape', shape), sizesOf('strides', strides)];
  if (sizes.length !== steps.length)
    throw new FormatError(`a tensor has ${sizes.length} dimensions and ${steps.length} strides`);
  if (!isSize(offset))
    throw new FormatError(`a tensor has the offset ${describePickled(offset)}, expected an integer from 0 on`);
  const { bytes } = dtypes[dtype];
  const last = sizes.reduce((sum, n, i) => sum + (n - 1) * (steps[i] as number), offset);
  const isEmpty = sizes.includes(0);
  if (!isEmpty && !((last + 1) * bytes <= reference.byteLength)) {
    const view = `[${sizes.join(', ')}] with strides [${steps.join(', ')}] from ${offset} on`;
    throw new FormatError(`a tensor ${view} reaches past its storage of ${reference.byteLength / bytes} numbers`);
  }
  return new TorchTensor(reference.storage, dtype, reference.start + (isEmpty ? 0 : offset * bytes), sizes, steps);
}

function dtypeOf(type: unknown): SafetensorsDType {
  const dtype = type instanceof PickleGlobal ? DTYPES[type.name] : undefined;
  if (dtype === undefined)
    throw new FormatError(`a tensor has the dtype ${describePickled(type)}, which is not supported`);
  return dtype;
}

function sizesOf(what: string, value: unknown): readonly number[] {
  const sizes: readonly unknown[] = value instanceof PickleTuple ? value.items : Array.isArray(value) ? value : [value];
  if (sizes.length > MAX_DIMENSIONS)
    throw new FormatError(`a tensor has ${sizes.length} dimensions, expected at most ${MAX_DIMENSIONS}`);
  if (sizes.every(isSize)) return sizes;
  throw new FormatError(
    `the ${what} of a tensor is [${sizes.map(describePickled).join(', ')}], expected integers from 0 on`,
  );
}

/** Context of a state dict's pickle. Collects the storages that it names. */
class StateDictContext implements PickleContext {
  /** Storages by key. */
  readonly storages = new Map<string, Storage>();

  globalOf(module: string, name: string): unknown {
    const path = `${module}.${name}`;
    const refused = REFUSED.find(([pattern]) => pattern.test(path));
    if (refused) throw new FormatError(`the pickle names ${quote(path)}, which is not read: ${refused[1]} instead`);
    const isType = Object.hasOwn(STORAGES, path) || Object.hasOwn(DTYPES, path) || TYPES.includes(path);
    const isKnown = functions.has(path) || isType;
    return isKnown ? (functions.get(path) ?? new PickleGlobal(path)) : undefined;
  }

  /**
   * Reads the tuple `('storage', type, key, device, numbers)`. Before torch 0.4, a sixth item made it a part of another
   * storage.
   */
  persistent(id: unknown): Described {
    const items = id instanceof PickleTuple ? id.items : [];
    const [kind, type, key, , count, part = null] = items;
    const path = type instanceof PickleGlobal ? type.name : '';
    if (kind !== 'storage' || items.length < 5 || items.length > 6)
      throw new FormatError(`the pickle refers to ${describePickled(kind ?? id)}, expected a storage`);
    if (!Object.hasOwn(STORAGES, path)) throw new FormatError(`${describePickled(type)} is not a type of storage`);
    if (typeof key !== 'string' || !isSize(count))
      throw new FormatError(`a storage has the key ${describePickled(key)} and ${describePickled(count)} numbers`);
    const dtype = STORAGES[path] ?? null;
    const width = dtype === null ? 1 : dtypes[dtype].bytes;
    const storage = this.#storage({ key, count, byteLength: count * width });
    const [start, size] = part === null ? [0, count] : partOf(part);
    if (!((start + size) * width <= storage.byteLength))
      throw new FormatError(`a part of storage ${quote(key)} reaches past its end`);
    return new Described({ storage, dtype, start: start * width, byteLength: size * width } satisfies StorageReference);
  }

  #storage(storage: Storage): Storage {
    const { key, byteLength } = storage;
    const known = this.storages.get(key);
    if (known !== undefined && known.byteLength !== byteLength)
      throw new FormatError(`storage ${quote(key)} has two sizes: ${byteLength} and ${known.byteLength} bytes`);
    this.storages.set(key, known ?? storage);
    return known ?? storage;
  }
}

/** Reads the tuple `(key, first number, numbers)`. */
function partOf(part: unknown): [start: number, size: number] {
  const [, start, size] = part instanceof PickleTuple ? part.items : [];
  if (!isSize(start) || !isSize(size))
    throw new FormatError(`a part of a storage is ${describePickled(part)}, expected three items`);
  return [start, size];
}

// The state dict.

/** Keys under which training scripts save a state dict beside other values. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'module'];
/** Maximum number of dicts around a state dict. */
const MAX_WRAPPERS = 3;
/**
 * Maximum bytes of a tensor that is larger than its file, because its rows share one stored row (stride 0), as in
 * masks.
 */
const MAX_SPREAD = 1 << 28;

function stateDict(value: unknown, fileBytes: number, sourceOf: (storage: Storage) => StorageLocation): Safetensors {
  if (!(value instanceof Map))
    throw new FormatError(`the file holds ${describePickled(value)}, expected a state dict: names and tensors`);
  const found = stateIn(value, MAX_WRAPPERS);
  if (found.length === 0) throw new FormatError('the file holds a dict without tensors, expected a state dict');
  const tensors = new Map<string, SafetensorsEntry>();
  for (const [name, tensor] of found) {
    const { dtype, shape, start, strides } = tensor;
    const { source, position } = sourceOf(tensor.storage);
    const strided = new Strided(source, position + start, shape, strides, dtypes[dtype].bytes);
    if (!(strided.size <= Math.max(fileBytes, MAX_SPREAD)))
      throw new FormatError(
        `tensor ${quote(name)} [${shape.join(', ')}] has ${strided.size} bytes, which is more than its file has`,
      );
    const entry = strided.isContiguous
      ? new SafetensorsEntry(name, dtype, shape, strided.size, source, position + start)
      : new SafetensorsEntry(name, dtype, shape, strided.size, strided, 0);
    tensors.set(name, entry);
  }
  return { tensors, metadata: new Map() };
}

/** The tensors of the state dict inside of at most `depth` others. Without one, those of the dict itself. */
function stateIn(value: ReadonlyMap<unknown, unknown>, depth: number): [string, TorchTensor][] {
  for (const key of depth > 0 ? WRAPPERS : []) {
    const inner = value.get(key);
    const found = inner instanceof Map ? stateIn(inner, depth - 1) : [];
    if (found.length > 0) return found;
  }
  return tensorsIn(value);
}

function tensorsIn(value: unknown): [string, TorchTensor][] {
  const entries = value instanceof Map ? [...value] : [];
  return entries.filter(([name, tensor]) => typeof name === 'string' && tensor instanceof TorchTensor);
}

/** A storage with the position of its first byte. */
interface StorageLocation {
  readonly source: ByteSource;
  readonly position: number;
}

// The zip archive.

async function readArchive(file: ByteSource): Promise<Safetensors> {
  const records = await readZip(file);
  const root = rootOf(records);
  const order = records.get(`${root}byteorder`);
  if (order !== undefined && new TextDecoder().decode(await readRecord(file, order)) !== 'little')
    throw new FormatError('the file is big-endian, expected little-endian: load it with torch and save it again');
  const context = new StateDictContext();
  const { value } = unpickle(await readRecord(file, records.get(`${root}data.pkl`) as ZipRecord), context);
  const locations = new Map<Storage, StorageLocation>();
  for (const storage of context.storages.values()) {
    const record = records.get(`${root}data/${storage.key}`);
    if (record === undefined) throw new FormatError(`the archive has no storage ${quote(storage.key)}`);
    if (record.byteLength !== storage.byteLength)
      throw new FormatError(
        `storage ${quote(storage.key)} has ${record.byteLength} bytes, but the pickle says ${storage.byteLength}`,
      );
    locations.set(storage, { source: new ZipData(file, record), position: 0 });
  }
  return stateDict(value, file.size, (storage) => locations.get(storage) as StorageLocation);
}

/** Returns the folder that contains all records, with a slash at the end. */
function rootOf(records: ReadonlyMap<string, ZipRecord>): string {
  const roots = [...records.keys()].flatMap((name) => /^([^/]+\/)?data\.pkl$/.exec(name)?.[1] ?? []);
  const [root] = roots;
  if (root === undefined || roots.length > 1)
    throw new FormatError(
      `the zip archive has ${roots.length} records data.pkl, expected one, as torch.save writes it`,
    );
  if (records.has(`${root}constants.pkl`))
    throw new FormatError('this is a TorchScript archive, which holds a program: save model.state_dict() instead');
  return root;
}

/** Maximum size of data.pkl. Those of state dicts are smaller. */
const MAX_PICKLE = 1 << 28;

async function readRecord(file: ByteSource, record: ZipRecord): Promise<Uint8Array> {
  if (record.byteLength > MAX_PICKLE)
    throw new FormatError(
      `record ${quote(record.name)} has ${record.byteLength} bytes, expected at most ${MAX_PICKLE}`,
    );
  return bytesOf(new ZipData(file, record), 0, record.byteLength);
}

// The format before torch 1.6: five pickles, then the storages with their lengths.

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** Number of bytes that are read first. Longer pickles are read in multiples of it. */
const FIRST = 1 << 20;
const GROWTH = 4;

async function readLegacy(file: ByteSource): Promise<Safetensors> {
  for (let length = Math.min(file.window ?? FIRST, file.size); ; length = Math.min(GROWTH * length, file.size)) {
    const bytes = await bytesOf(file, 0, length);
    try {
      const header = legacyHeader(bytes);
      return stateDict(header.value, file.size, await placedStorages(file, header));
    } catch (error) {
      if (!(error instanceof TruncatedPickle) || length === file.size || length > MAX_PICKLE) throw error;
    }
  }
}

interface LegacyHeader {
  readonly value: unknown;
  readonly storages: ReadonlyMap<string, Storage>;
  /** Keys of storages in file order. */
  readonly keys: readonly unknown[];
  /** Position of the first storage. */
  readonly end: number;
}

/** The context of a pickle that has only plain values. */
const plain: PickleContext = {
  globalOf: () => undefined,
  persistent(id) {
    throw new FormatError(`the header refers to ${describePickled(id)}, expected plain values`);
  },
};

function legacyHeader(bytes: Uint8Array): LegacyHeader {
  const context = new StateDictContext();
  const magic = unpickle(bytes, plain);
  if (magic.value !== MAGIC)
    throw new FormatError(`this is a pickle of ${describePickled(magic.value)}, expected a file of torch.save`);
  const protocol = unpickle(bytes, plain, magic.end);
  if (protocol.value !== PROTOCOL)
    throw new FormatError(`the protocol of torch.save is ${describePickled(protocol.value)}, expected ${PROTOCOL}`);
  const system = unpickle(bytes, plain, protocol.end);
  if (!(system.value instanceof Map) || system.value.get('little_endian') !== true)
    throw new FormatError('the file is not little-endian: load it with torch and save it again');
  const object = unpickle(bytes, context, system.end);
  const keys = unpickle(bytes, plain, object.end);
  if (!Array.isArray(keys.value))
    throw new FormatError(`the keys of storages are ${describePickled(keys.value)}, expected a list`);
  return { value: object.value, storages: context.storages, keys: keys.value, end: keys.end };
}

/** Finds the storages. Each has a 64-bit count before its data. */
async function placedStorages(file: ByteSource, { storages, keys, end }: LegacyHeader) {
  const locations = new Map<Storage, StorageLocation>();
  let offset = end;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (storage === undefined) throw new FormatError(`storage ${describePickled(key)} is not named by the pickle`);
    if (offset + 8 > file.size) throw new FormatError(`the file ends before storage ${quote(storage.key)}`);
    const count = await bytesOf(file, offset, 8);
    const numbers = Number(new DataView(count.buffer, count.byteOffset, 8).getBigInt64(0, true));
    offset += 8;
    if (numbers !== storage.count)
      throw new FormatError(`storage ${quote(storage.key)} has ${numbers} numbers, expected ${storage.count}`);
    if (offset + storage.byteLength > file.size)
      throw new FormatError(`the file ends within storage ${quote(storage.key)}`);
    locations.set(storage, { source: file, position: offset });
    offset += storage.byteLength;
  }
  return (storage: Storage): StorageLocation => {
    const found = locations.get(storage);
    if (found === undefined) throw new FormatError(`storage ${quote(storage.key)} is missing after the pickle`);
    return found;
  };
}
