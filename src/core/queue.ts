import type { Backend, CommandFailure, OperandKind } from '../backend/backend.js';
import { commandHead, isTensorKind } from '../backend/command.js';
import { CommandList, type Patch } from './command-list.js';
import { CommandError, DeviceError, SimdformerError } from './errors.js';
import { checkScalar, type HeapValue, type Operand, type OperandGroup, Scalar } from './operand.js';
import { yieldToEventLoop } from './yield-to-event-loop.js';

/** Number of queued words above which the queue runs by itself. */
const FULL = 1 << 20;
/** Bytes of a result that are copied before the event loop may run. */
const BYTES_A_SLICE = 1 << 20;
/**
 * Maximum number of data words in an upload command. A command has at most 0xffff words, and 3 of them are its header.
 */
const MAX_UPLOAD = 0xffff - 3;

interface OperandLayout {
  readonly name: string;
  readonly kind: OperandKind;
  /** Words from the command's first one. */
  readonly offset: number;
  readonly isTensor: boolean;
  readonly isWritten: boolean;
  readonly isRequired: boolean;
  /** Names of the numbers of a group, in order; null for any other operand. */
  readonly fields: readonly string[] | null;
}

/** The encoding of an op's commands. */
interface OpLayout {
  readonly name: string;
  readonly opcode: number;
  /** Number of words without the tail. */
  readonly words: number;
  readonly operands: ReadonlyMap<string, OperandLayout>;
  /** Number of required operands. */
  readonly required: number;
}

/** A part of the heap to copy, and its target. */
interface Read {
  readonly byteOffset: number;
  readonly target: ArrayBufferView;
}

interface Job {
  readonly words: Uint32Array;
  /** Number of words that belong to this job. */
  readonly count: number;
  /** Reads that are not done yet. */
  readonly reads: Read[];
  resolve(): void;
  reject(error: unknown): void;
}

/** Encodes commands and runs them in order, on this thread or on others. */
export class Queue {
  readonly #layouts = new Map<string, OpLayout>();
  readonly #pending = new CommandList();
  /** Patches of the command that is being encoded. */
  readonly #patches: Patch[] = [];
  /** Jobs that wait for the running job. */
  readonly #jobs: Job[] = [];
  #running: Job | null = null;
  #closed = false;
  #unreported: unknown;

  constructor(private readonly backend: Backend) {
    for (const [opcode, { name, operands: declared }] of backend.manifest.ops.entries()) {
      let words = 1;
      const operands = declared.map(({ name, kind, fields = null }) => {
        const isTensor = isTensorKind(kind);
        const offset = words;
        words += isTensor ? 2 : kind === 'tail' ? 0 : (fields?.length ?? 1);
        return {
          name,
          kind,
          offset,
          isTensor,
          isWritten: kind.includes('out'),
          isRequired: !kind.endsWith('?'),
          fields,
        };
      });
      const required = operands.filter(({ isRequired }) => isRequired).length;
      const byName = new Map(operands.map((operand) => [operand.name, operand]));
      this.#layouts.set(name, { name, opcode, words, operands: byName, required });
    }
  }

  /** Encodes a command at the end of `list`, by default the queue's own, which runs when it is full. */
  emit(op: string, operands: Readonly<Record<string, Operand>>, list = this.#pending): void {
    const layout = this.#layout(op);
    list.reserve(layout.words);
    this.#patches.length = 0;
    const { words } = list;
    const start = list.length;
    const end = start + layout.words;
    words[start] = commandHead(layout.opcode, layout.words);
    for (let i = start + 1; i < end; i++) words[i] = 0; // stands for omitted tensors
    let missing = layout.required;
    // Every op passes here. A loop over the given operands is faster than one over the possible operands.
    for (const name in operands) {
      const value = operands[name];
      if (value === undefined || value === null) continue;
      const operand = layout.operands.get(name);
      if (operand === undefined) throw unknownOperand(op, name);
      if (operand.isTensor) putTensor(list, start + operand.offset, op, operand, value as HeapValue);
      else if (operand.fields !== null)
        this.#putGroup(list, start + operand.offset, op, operand, value as OperandGroup);
      else this.#putNumber(list, start + operand.offset, op, operand, value);
      if (operand.isRequired) missing--;
    }
    if (missing > 0) throw missingOperand(op, leftOut(layout, operands));
    // The length is set last, so that a refused command leaves nothing behind.
    list.length = end;
    if (list === this.#pending) this.#runIfFull();
    else list.patches.push(...this.#patches);
  }

  #putGroup(list: CommandList, index: number, op: string, operand: OperandLayout, values: OperandGroup): void {
    const { name, kind, fields } = operand;
    for (const field of fields as readonly string[])
      this.#putNumber(list, index++, op, { name: `${name}.${field}`, kind }, values[field]);
    for (const field in values) if (!fields?.includes(field)) throw unknownOperand(op, `${name}.${field}`);
  }

  #putNumber(
    list: CommandList,
    index: number,
    op: string,
    { name, kind }: Pick<OperandLayout, 'name' | 'kind'>,
    value: Operand,
  ): void {
    if (typeof value === 'number') list.setScalar(index, kind, value);
    else if (typeof value === 'boolean') list.setScalar(index, kind, Number(value));
    else if (value instanceof Scalar) {
      checkScalar(op, value.name, value.value, kind);
      this.#patches.push({ index, kind, scalar: value });
      list.setScalar(index, kind, value.value);
    } else throw missingOperand(op, name);
  }

  /**
   * Copies `data` to the heap, in order with the commands around it. Returns the number of words of each command it
   * took.
   */
  upload(offset: number, data: Float32Array | Int32Array, list = this.#pending): number[] {
    if (list === this.#pending && this.idle) {
      this.backend.write(offset * 4, data);
      return [];
    }
    const lengths: number[] = [];
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    const layout = this.#layout('upload');
    for (let from = 0; from < words.length; from += MAX_UPLOAD) {
      const part = words.subarray(from, from + MAX_UPLOAD);
      list.append(Uint32Array.of(commandHead(layout.opcode, layout.words + part.length), offset + from, part.length));
      list.append(part);
      lengths.push(part.length);
      if (list === this.#pending) this.#runIfFull();
    }
    return lengths;
  }

  append(words: Uint32Array): void {
    if (this.#closed) throw new DeviceError('program: the device has already been disposed');
    this.#pending.append(words);
    this.#runIfFull();
  }

  /** True if nothing is queued or running. */
  get idle(): boolean {
    return this.#pending.length === 0 && this.#running === null && this.#jobs.length === 0;
  }

  /** False if the engine is in a worker, because this thread cannot wait for a worker. */
  get #canWait(): boolean {
    return this.backend.readAsync === undefined;
  }

  /** Runs a full queue. */
  #runIfFull(): void {
    if (this.#pending.length <= FULL) return;
    if (this.#canWait) this.runSync();
    else this.flush();
  }

  /** Runs all queued commands on another thread. The next run reports its error. */
  flush(): void {
    if (this.#pending.length > 0) this.#start([], ignore, (error) => (this.#unreported ??= error));
  }

  /** True if the queue can run on this thread without waiting for earlier runs. */
  get isFree(): boolean {
    return this.#canWait && this.#running === null && this.#jobs.length === 0;
  }

  /** Runs all queued commands on this thread, then copies `reads` from the heap. */
  runSync(...reads: Read[]): void {
    const list = this.#pending;
    if (!this.#canWait) this.backend.run(list.words, 0); // throws an error with the alternative
    this.#catchUp();
    const count = list.length;
    list.length = 0;
    this.#throwUnreported();
    if (count > 0) throwIfFailed(this.backend.run(list.words, count));
    for (const { byteOffset, target } of reads) this.backend.read(byteOffset, target);
  }

  /** Runs all queued commands on another thread, in order, then copies `reads` from the heap. */
  run(...reads: Read[]): Promise<void> {
    return new Promise((resolve, reject) => this.#start(reads, resolve, reject));
  }

  #start(reads: Read[], resolve: Job['resolve'], reject: Job['reject']): void {
    const { words, length: count } = this.#pending;
    this.#pending.length = 0;
    const jobWords = this.idle ? words : words.slice(0, count); // the backend copies the words at once if nothing is running
    this.#jobs.push({ words: jobWords, count, reads, resolve, reject });
    this.#runJobs();
  }

  #throwUnreported(): void {
    const error = this.#unreported;
    this.#unreported = undefined;
    if (error !== undefined) throw error;
  }

  /** Rejects the waiting jobs and drops the queued commands. */
  close(): void {
    this.#closed = true;
    try {
      if (this.#canWait) this.#catchUp();
    } finally {
      const error = new DeviceError('the device has already been disposed');
      for (const job of this.#jobs.splice(0)) job.reject(error);
      this.#pending.length = 0;
    }
  }

  #layout(op: string): OpLayout {
    const layout = this.#layouts.get(op);
    if (layout === undefined) {
      throw new SimdformerError(`the loaded engine has no op '${op}': rebuild it`);
    }
    return layout;
  }

  async #runJobs(): Promise<void> {
    if (this.#running !== null) return;
    const { backend } = this;
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      this.#running = job;
      try {
        this.#throwUnreported(); // an earlier run failed: optimizers must not continue from it
        const run = backend.runAsync(job.words, job.count);
        const reads = backend.readAsync
          ? job.reads.splice(0).map((read) => backend.readAsync?.(read.byteOffset, read.target))
          : [];
        const [failure] = await Promise.all([run, ...reads]);
        throwIfFailed(failure);
        await this.#readLarge(job);
        job.resolve();
      } catch (error) {
        job.reject(error);
      }
      this.#running = null;
    }
  }

  #settle(job: Job, failure: CommandFailure | null): void {
    throwIfFailed(failure);
    this.#readResults(job);
    job.resolve();
  }

  #readResults(job: Job): void {
    for (const { byteOffset, target } of job.reads.splice(0)) this.backend.read(byteOffset, target);
  }

  /** Copies results. The event loop runs between parts of large ones. */
  async #readLarge({ reads }: Job): Promise<void> {
    for (let read = reads.shift(); read !== undefined; read = reads.shift()) {
      const { byteOffset, target } = read;
      if (target.byteLength <= BYTES_A_SLICE) {
        this.backend.read(byteOffset, target);
        continue;
      }
      const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
      this.backend.read(byteOffset, bytes.subarray(0, BYTES_A_SLICE));
      // `#catchUp` finds the rest if a synchronous call comes during the pause.
      reads.unshift({ byteOffset: byteOffset + BYTES_A_SLICE, target: bytes.subarray(BYTES_A_SLICE) });
      await yieldToEventLoop();
    }
  }

  /** Runs the waiting jobs on this thread, so that later commands see their results. */
  #catchUp(): void {
    if (this.#running !== null) {
      this.backend.run(new Uint32Array(0), 0); // waits for the run in progress
      this.#readResults(this.#running); // before later commands can overwrite them
    }
    for (const job of this.#jobs.splice(0)) {
      try {
        this.#settle(job, this.backend.run(job.words, job.count));
      } catch (error) {
        job.reject(error);
      }
    }
  }
}

function ignore(): void {}

function unknownOperand(op: string, name: string): SimdformerError {
  return new SimdformerError(`the loaded engine's op '${op}' has no operand '${name}': rebuild it`);
}

/** Encodes the position and length of a tensor. */
function putTensor(
  { words }: CommandList,
  index: number,
  op: string,
  { name, isWritten }: OperandLayout,
  value: HeapValue,
): void {
  if (typeof value !== 'object') throw missingOperand(op, name);
  const { offset, length } = value.region(op);
  words[index] = offset;
  words[index + 1] = length;
  if (isWritten) value.storage.version++;
}

function missingOperand(op: string, name: string): SimdformerError {
  return new SimdformerError(`${op}: operand '${name}' is missing`);
}

/** Returns the name of the first required operand that is missing. */
function leftOut({ operands }: OpLayout, operandValues: Readonly<Record<string, Operand>>): string {
  const isMissing = ({ name, isRequired }: OperandLayout) => isRequired && (operandValues[name] ?? null) === null;
  return [...operands.values()].find(isMissing)?.name ?? '';
}

function throwIfFailed(failure: CommandFailure | null): void {
  if (failure !== null) throw new CommandError(failure.index, failure.name, failure.reason);
}
