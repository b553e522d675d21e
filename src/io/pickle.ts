/**
 * Python's pickle format, protocols 0 to 5 (https://docs.python.org/3/library/pickletools.html), for files of weights.
 * A pickle is a program for a stack machine that can call any Python function. This machine knows plain values and the
 * globals that its caller provides. It refuses all other globals by name, and it never runs code from the file.
 *
 * A file is untrusted input. Its length limits time and memory: values are copied or visited at most as often as they
 * were written. Nothing here is recursive.
 */

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { quote } from './dtypes.js';

/** A tuple. Lists are arrays, dicts are Maps, sets are Sets, bytes are Uint8Arrays, None is null. */
export class PickleTuple {
  constructor(readonly items: readonly unknown[]) {}
}

/** A global that pickles may name: a value, or a function that makes a value from the arguments of a call. */
export class PickleGlobal {
  constructor(
    readonly name: string,
    readonly call?: (args: readonly unknown[]) => unknown,
  ) {}
}

/** Resolves a pickle's references to its surroundings. */
export interface PickleContext {
  /** Returns the global with this module and name. Undefined refuses it. */
  globalOf(module: string, name: string): unknown;
  /** Returns the object of a persistent id. Throws FormatError. */
  persistent(id: unknown): unknown;
}

/** Thrown if the bytes end before the pickle. Readers of a part of a file then read more. */
export class TruncatedPickle extends FormatError {}

/** Reads the pickle that begins at `start`. `end` is the position after it. Throws FormatError. */
export function unpickle(bytes: Uint8Array, context: PickleContext, start = 0): { value: unknown; end: number } {
  const machine = new Machine(bytes, context, start);
  return { value: machine.run(), end: machine.position };
}

const MAX_PROTOCOL = 5;
/** Maximum size of an integer in a file of weights: sizes, counts, and seeds of random generators. */
const MAX_INTEGER_BYTES = 64;
/** Maximum length of a line in text opcodes. */
const MAX_LINE = 4096;

const utf8 = new TextDecoder('utf-8', { fatal: true });

class Machine {
  position: number;
  readonly #view: DataView;
  readonly #stack: unknown[] = [];
  /** Heights of the stack at each MARK. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, unknown>();
  /** Number of items that calls have copied, because a short pickle could copy a long list repeatedly. */
  #copied = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly context: PickleContext,
    start: number,
  ) {
    this.position = start;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): unknown {
    for (;;) {
      const opcode = this.byte();
      if (opcode === STOP) return this.pop();
      const operation = operations[opcode];
      if (operation === undefined) this.refuse(`there is no opcode 0x${opcode.toString(16)}`, 1);
      else operation(this);
    }
  }

  refuse(why: string, back = 0): never {
    throw new FormatError(`byte ${this.position - back} of the pickle: ${why}`);
  }

  // Operands of opcodes.

  take(length: number): Uint8Array {
    if (length < 0) this.refuse(`a length is ${length}, expected 0 or more`);
    if (length > this.bytes.byteLength - this.position)
      throw new TruncatedPickle(
        `byte ${this.position} of the pickle: it ends before the ${length} bytes that it announces`,
      );
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  byte(): number {
    return this.take(1)[0] as number;
  }

  uint16(): number {
    this.take(2);
    return this.#view.getUint16(this.position - 2, true);
  }

  int32(): number {
    this.take(4);
    return this.#view.getInt32(this.position - 4, true);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  uint64(): number {
    this.take(8);
    return Number(this.#view.getBigUint64(this.position - 8, true));
  }

  float64(): number {
    this.take(8);
    return this.#view.getFloat64(this.position - 8, false);
  }

  line(): string {
    const end = this.bytes.subarray(this.position, this.position + MAX_LINE).indexOf(0x0a);
    if (end >= 0) return this.text(this.take(end + 1).subarray(0, -1));
    if (this.bytes.byteLength - this.position >= MAX_LINE) this.refuse(`a line has more than ${MAX_LINE} characters`);
    throw new TruncatedPickle(`byte ${this.position} of the pickle: it ends within a line`);
  }

  text(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes);
    } catch {
      return this.refuse('a text is not UTF-8', bytes.byteLength);
    }
  }

  /** Converts an integer in two's complement. The result is a number if that is exact, otherwise a bigint. */
  integer(bytes: Uint8Array): number | bigint {
    if (bytes.byteLength > MAX_INTEGER_BYTES) this.refuse(`an integer has ${bytes.byteLength} bytes`, bytes.byteLength);
    let value = 0n;
    for (const byte of [...bytes].reverse()) value = (value << 8n) | BigInt(byte);
    return plainInteger(BigInt.asIntN(8 * bytes.byteLength, value));
  }

  decimal(line: string): number | bigint {
    const digits = line.replace(/L$/, '');
    if (!/^[-+]?\d{1,150}$/.test(digits)) this.refuse(`${describeValue(line)} is not an integer`, line.length + 1);
    return plainInteger(BigInt(digits));
  }

  // The stack and the memo.

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) this.refuse('the stack is empty where a value is due', 1);
    return this.#stack.pop();
  }

  peek(): unknown {
    const value = this.pop();
    this.#stack.push(value);
    return value;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  popToMark(): unknown[] {
    const height = this.#marks.pop();
    if (height === undefined) this.refuse('there is no MARK', 1);
    return this.#stack.splice(height as number);
  }

  /** POP removes a value, or a MARK if it is on top. */
  discard(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  put(index: number): void {
    this.#memo.set(index, this.peek());
  }

  memoize(): void {
    this.put(this.#memo.size);
  }

  get(index: number): void {
    if (!this.#memo.has(index)) this.refuse(`memo ${index} was never put`, 1);
    this.push(this.#memo.get(index));
  }

  // Collections.

  append(items: readonly unknown[]): void {
    const list = this.peek();
    if (!Array.isArray(list)) this.refuse(`items are appended to ${describePickled(list)}, expected a list`, 1);
    for (const item of items) (list as unknown[]).push(item);
  }

  setItems(items: readonly unknown[]): void {
    const dict = this.peek();
    if (!(dict instanceof Map)) this.refuse(`items are set in ${describePickled(dict)}, expected a dict`, 1);
    this.fill(dict as Map<unknown, unknown>, items);
  }

  fill(dict: Map<unknown, unknown>, items: readonly unknown[]): Map<unknown, unknown> {
    if (items.length % 2 !== 0) this.refuse(`${items.length} keys and values, expected an even number`, 1);
    for (let i = 0; i < items.length; i += 2) dict.set(this.#hashable(items[i]), items[i + 1]);
    return dict;
  }

  addItems(items: readonly unknown[]): void {
    const set = this.peek();
    if (!(set instanceof Set)) this.refuse(`items are added to ${describePickled(set)}, expected a set`, 1);
    for (const item of items) (set as Set<unknown>).add(this.#hashable(item));
  }

  #hashable(key: unknown): unknown {
    if (Array.isArray(key) || key instanceof Map || key instanceof Set)
      this.refuse(`a key is ${describePickled(key)}`, 1);
    return key;
  }

  // References to the surroundings.

  global(module: string, name: string): void {
    const found = constructors.get(`${module}.${name}`) ?? this.context.globalOf(module, name);
    if (found === undefined) throw unknownGlobal(`${module}.${name}`);
    this.push(found);
  }

  stackGlobal(): void {
    const [name, module] = [this.pop(), this.pop()];
    if (typeof module !== 'string' || typeof name !== 'string') this.refuse('a global is not named by two texts', 1);
    this.global(module as string, name as string);
  }

  persistent(id: unknown): void {
    this.push(this.context.persistent(id));
  }

  /** REDUCE and NEWOBJ call a known global. */
  call(): void {
    const [args, callee] = [this.pop(), this.pop()];
    const constructed = callee instanceof PickleGlobal ? callee.call : undefined;
    if (constructed === undefined)
      this.refuse(`${describePickled(callee)} is called, but it is not a known function`, 1);
    if (!(args instanceof PickleTuple)) this.refuse(`the arguments are ${describePickled(args)}, expected a tuple`, 1);
    const { items } = args as PickleTuple;
    for (const item of items) this.#copied += sizeOf(item);
    if (this.#copied > this.bytes.byteLength) this.refuse('calls copy more items than the pickle has', 1);
    this.push(constructed?.(items));
  }

  /**
   * BUILD adds attributes to an ordered dict, such as the `_metadata` of a state dict. They are ignored, because
   * weights do not depend on them.
   */
  build(): void {
    const state = this.pop();
    const target = this.peek();
    if (!(target instanceof Map && state instanceof Map))
      this.refuse(`${describePickled(target)} is given a state, expected an ordered dict and a dict`, 1);
  }
}

function unknownGlobal(path: string): FormatError {
  return new FormatError(
    `the pickle names ${quote(path)}, which is refused: a file of weights has tensors, storages, ordered dicts and plain ` +
      'values. If a whole model was saved, load it in Python and save model.state_dict() instead',
  );
}

const sizeOf = (value: unknown) =>
  Array.isArray(value) ? value.length : value instanceof Map || value instanceof Set ? value.size : 0;

const plainInteger = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

/**
 * Describes a value for errors. The contents of collections are omitted, because they may contain the collection
 * itself.
 */
export function describePickled(value: unknown): string {
  if (value instanceof PickleTuple) return `a tuple of ${value.items.length}`;
  if (value instanceof PickleGlobal) return value.name;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return `a dict of ${value.size}`;
  if (value instanceof Set) return `a set of ${value.size}`;
  return typeof value === 'object' && value !== null ? 'an object' : describeValue(value);
}

/** The items of a list, tuple or set. */
function itemsOf(value: unknown): readonly unknown[] {
  if (value instanceof PickleTuple) return value.items;
  if (Array.isArray(value)) return value;
  if (value instanceof Set) return [...value];
  throw new FormatError(`${describePickled(value)}, expected a list`);
}

/** The pairs from which dicts are made: each a list or a tuple of two. */
function pairsOf(value: unknown): [unknown, unknown][] {
  if (value instanceof Map) return [...value];
  return itemsOf(value).map((pair) => {
    const items = itemsOf(pair);
    if (items.length !== 2 || Array.isArray(items[0]) || items[0] instanceof Map)
      throw new FormatError(`${describePickled(pair)}, expected a key and a value`);
    return items as [unknown, unknown];
  });
}

function newDict(args: readonly unknown[]): Map<unknown, unknown> {
  if (args.length > 1) throw new FormatError(`a dict has ${args.length} arguments, expected at most one`);
  return new Map(args.length === 0 ? [] : pairsOf(args[0]));
}

function newSet(args: readonly unknown[]): Set<unknown> {
  return new Set(args.length === 0 ? [] : itemsOf(args[0]));
}

/** Bytes as Python 2 writes them in protocol 2: a text and its encoding. */
function encode([text, encoding]: readonly unknown[]): Uint8Array {
  if (typeof text !== 'string' || encoding !== 'latin1')
    throw new FormatError(`_codecs.encode is called with ${describePickled(encoding)}, expected a text and latin1`);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function newBytes([value]: readonly unknown[]): Uint8Array {
  if (value === undefined) return new Uint8Array();
  if (value instanceof Uint8Array) return value;
  throw new FormatError(`bytearray is called with ${describePickled(value)}, expected bytes`);
}

/** Constructors of plain values, by their names in Python 2 and 3. */
const constructors = new Map(
  Object.entries({
    'collections.OrderedDict': newDict,
    'collections.Counter': newDict,
    'builtins.set': newSet,
    '__builtin__.set': newSet,
    'builtins.frozenset': newSet,
    '__builtin__.frozenset': newSet,
    'builtins.bytearray': newBytes,
    '__builtin__.bytearray': newBytes,
    '_codecs.encode': encode,
  }).map(([name, call]) => [name, new PickleGlobal(name, call)]),
);

const STOP = 0x2e;

/** Reads a text in quotes, as protocol 0 writes it. Escapes are refused, because names of tensors do not need them. */
function quotedText(machine: Machine): string {
  const line = machine.line();
  const text = /^(['"])([^\\]*)\1$/.exec(line)?.[2];
  return text ?? machine.refuse(`${describeValue(line)} is not text in quotes`, line.length + 1);
}

const callsClass = (opcode: string) => (machine: Machine) => machine.refuse(`${opcode} makes an object of a class`, 1);

/** INST is refused by the name of its class. */
function instance(machine: Machine): void {
  machine.global(machine.line(), machine.line());
  callsClass('INST')(machine);
}

function integerOrTruth(machine: Machine): void {
  const line = machine.line();
  machine.push(line === '00' ? false : line === '01' ? true : machine.decimal(line));
}

function float(machine: Machine): void {
  const line = machine.line();
  const value = Number(line.replace(/^(-?)inf$/, '$1Infinity'));
  if (line.trim() === '' || (Number.isNaN(value) && line !== 'nan'))
    machine.refuse(`${describeValue(line)} is not a number`);
  machine.push(value);
}

function popTuple(machine: Machine, count: number): void {
  const items: unknown[] = [];
  for (let i = 0; i < count; i++) items.unshift(machine.pop());
  machine.push(new PickleTuple(items));
}

function protocol(machine: Machine): void {
  const version = machine.byte();
  if (version > MAX_PROTOCOL) machine.refuse(`protocol ${version}, expected at most ${MAX_PROTOCOL}`, 1);
}

/** FRAME gives the minimum number of bytes that follow. */
function frame(machine: Machine): void {
  const length = machine.uint64();
  machine.take(length);
  machine.position -= length;
}

/** Operations by the numbers of opcodes. Names are those of Python's pickletools. */
const operations: Readonly<Record<number, (machine: Machine) => void>> = {
  40: (m) => m.mark(), // MARK (
  41: (m) => m.push(new PickleTuple([])), // EMPTY_TUPLE )
  48: (m) => m.discard(), // POP 0
  49: (m) => void m.popToMark(), // POP_MARK 1
  50: (m) => m.push(m.peek()), // DUP 2
  66: (m) => m.push(m.take(m.uint32())), // BINBYTES B
  67: (m) => m.push(m.take(m.byte())), // SHORT_BINBYTES C
  70: float, // FLOAT F
  71: (m) => m.push(m.float64()), // BINFLOAT G
  73: integerOrTruth, // INT I
  74: (m) => m.push(m.int32()), // BININT J
  75: (m) => m.push(m.byte()), // BININT1 K
  76: (m) => m.push(m.decimal(m.line())), // LONG L
  77: (m) => m.push(m.uint16()), // BININT2 M
  78: (m) => m.push(null), // NONE N
  80: (m) => m.persistent(m.line()), // PERSID P
  81: (m) => m.persistent(m.pop()), // BINPERSID Q
  82: (m) => m.call(), // REDUCE R
  83: (m) => m.push(quotedText(m)), // STRING S
  84: (m) => m.push(m.text(m.take(m.int32()))), // BINSTRING T
  85: (m) => m.push(m.text(m.take(m.byte()))), // SHORT_BINSTRING U
  86: (m) => m.push(m.line()), // UNICODE V
  88: (m) => m.push(m.text(m.take(m.uint32()))), // BINUNICODE X
  93: (m) => m.push([]), // EMPTY_LIST ]
  97: (m) => m.append([m.pop()]), // APPEND a
  98: (m) => m.build(), // BUILD b
  99: (m) => m.global(m.line(), m.line()), // GLOBAL c
  100: (m) => m.push(m.fill(new Map(), m.popToMark())), // DICT d
  101: (m) => m.append(m.popToMark()), // APPENDS e
  103: (m) => m.get(Number(m.decimal(m.line()))), // GET g
  104: (m) => m.get(m.byte()), // BINGET h
  105: instance, // INST i
  106: (m) => m.get(m.uint32()), // LONG_BINGET j
  108: (m) => m.push(m.popToMark()), // LIST l
  111: callsClass('OBJ'), // OBJ o
  112: (m) => m.put(Number(m.decimal(m.line()))), // PUT p
  113: (m) => m.put(m.byte()), // BINPUT q
  114: (m) => m.put(m.uint32()), // LONG_BINPUT r
  115: (m) => m.setItems([m.pop(), m.pop()].reverse()), // SETITEM s
  116: (m) => m.push(new PickleTuple(m.popToMark())), // TUPLE t
  117: (m) => m.setItems(m.popToMark()), // SETITEMS u
  125: (m) => m.push(new Map()), // EMPTY_DICT }
  128: protocol, // PROTO
  129: (m) => m.call(), // NEWOBJ
  130: callsClass('EXT1'), // an entry of a registry that only the writer knows
  131: callsClass('EXT2'),
  132: callsClass('EXT4'),
  133: (m) => popTuple(m, 1), // TUPLE1
  134: (m) => popTuple(m, 2), // TUPLE2
  135: (m) => popTuple(m, 3), // TUPLE3
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  138: (m) => m.push(m.integer(m.take(m.byte()))), // LONG1
  139: (m) => m.push(m.integer(m.take(m.int32()))), // LONG4
  140: (m) => m.push(m.text(m.take(m.byte()))), // SHORT_BINUNICODE
  141: (m) => m.push(m.text(m.take(m.uint64()))), // BINUNICODE8
  142: (m) => m.push(m.take(m.uint64())), // BINBYTES8
  143: (m) => m.push(new Set()), // EMPTY_SET
  144: (m) => m.addItems(m.popToMark()), // ADDITEMS
  145: (m) => m.push(new Set(m.popToMark())), // FROZENSET
  146: callsClass('NEWOBJ_EX'),
  147: (m) => m.stackGlobal(), // STACK_GLOBAL
  148: (m) => m.memoize(), // MEMOIZE
  149: frame, // FRAME
  150: (m) => m.push(m.take(m.uint64())), // BYTEARRAY8
};
