import { commandWords } from '../backend/command.js';
import { checkOptions } from './check-options.js';
import { checkNumber, isNotNaN } from './check-values.js';
import type { CommandList } from './command-list.js';
import { ArgumentError, DisposedError } from './errors.js';
import type { Arena } from './heap.js';
import { checkScalar, isHeapValue, type Operand, Scalar } from './operand.js';
import type { Queue } from './queue.js';
import type { Shape } from './shape.js';
import type { Storage } from './storage.js';

/** A readable description of a recorded command. */
export interface CommandInfo {
  readonly op: string;
  /** Tensor operands with their shapes, scalars with their values, in the order of the call. */
  readonly operands: readonly (readonly [name: string, value: Shape | number | string])[];
  /** Floating-point operations, if the op counts them. */
  readonly flops: number;
}

/**
 * A recorded command in its stored form: names and values of operands alternate. Descriptions are derived on request.
 */
export interface RecordedCommand {
  readonly op: string;
  readonly operands: readonly (string | number | Shape)[];
  readonly flops: number;
}

/** A command that ran, and its time, including the round trip to the engine. */
export interface CommandTiming extends CommandInfo {
  readonly milliseconds: number;
}

/** The part of a device that a program needs. */
interface Host {
  readonly queue: Queue;
  assertOpen(op: string): void;
  assertNotRecording(op: string): void;
}

/** Written columns from ≤ c < to of a gradient, in order and disjoint. */
export type WrittenColumns = readonly (readonly [from: number, to: number])[];

/** The part of a leaf's gradient that a program needs. */
export interface RecordedGradient {
  readonly root: { readonly disposed: boolean };
  /** @internal */
  readonly tensor: { assertUsable(op: string): void };
  /** True if a part of the gradient has been written. */
  readonly written: boolean;
  /** The written columns. A recording restores them at its end, because only runs of the program write. */
  readonly state: WrittenColumns;
  restore(state: WrittenColumns): void;
  /** Zeroes the columns that have not been written. */
  complete(): void;
}

/** The gradient of a leaf that a program changes: the columns written before and after the recording. */
interface LeafGradient {
  readonly slot: RecordedGradient;
  readonly before: WrittenColumns;
  readonly after: WrittenColumns;
}

/** Effects of runs outside of the program's own memory. */
interface Effects {
  readonly gradients: readonly LeafGradient[];
  readonly written: readonly Storage[];
}

/** The parts of a program, as a recording has made them. */
export interface Recorded {
  readonly commands: readonly RecordedCommand[];
  readonly list: CommandList;
  readonly arena: Arena;
  readonly effects: Effects;
  readonly release: () => void;
}

/**
 * Commands recorded by `device.record(fn)`. Another run costs no work per op in JavaScript. The tensors made while
 * recording belong to the program: they hold the results of its latest run until `dispose()`.
 */
export class Program<Result = unknown> {
  /** Scalars in the order of their first use. */
  readonly #scalars: ReadonlySet<Scalar>;
  /** Size of the program's tensors in bytes. */
  readonly bytes: number;
  #disposed = false;

  /** @internal */
  constructor(
    private readonly device: Host,
    /** The result of the recorded function. */
    readonly result: Result,
    private readonly recorded: Recorded,
  ) {
    this.bytes = recorded.arena.words * 4;
    this.#scalars = new Set(recorded.list.patches.map(({ scalar }) => scalar));
  }

  /** Names of the scalars that `run` can set. */
  get scalars(): readonly string[] {
    return [...new Set([...this.#scalars].map(({ name }) => name))];
  }

  /** The commands in the order in which they run. */
  get commands(): readonly CommandInfo[] {
    return this.recorded.commands.map(commandInfo);
  }

  /** Floating-point operations of one run. */
  get flops(): number {
    return this.recorded.commands.reduce((sum, { flops }) => sum + flops, 0);
  }

  /**
   * Queues the commands once more, with new values for the named scalars. Other scalars keep their values. Exceptions
   * are dropout seeds, which are drawn again, and AdamW's bias corrections, which follow its steps. Like an op, the run
   * happens when something is read (`await program.result.data()`) or at `device.flush()`. These then throw
   * CommandError if a command fails.
   *
   * Throws ArgumentError, without setting any scalar, for an unknown scalar or a value that an operand cannot hold.
   * Throws DisposedError after `dispose()`, or if a gradient that it writes was disposed of. Throws DeviceError after
   * the device's `dispose()`, and SimdformerError while a program is recorded.
   */
  run(scalars: Readonly<Record<string, number>> = {}): Result {
    this.#assertRuns('program.run');
    const entries = Object.entries(checkOptions('program.run', scalars));
    const known = this.scalars;
    for (const [name, value] of entries) {
      if (!known.includes(name)) {
        const names = known.join(', ') || 'none';
        throw new ArgumentError(`program.run: no scalar is called '${name}'; the program has: ${names}`);
      }
      for (const { kind, scalar } of this.recorded.list.patches)
        if (scalar.name === name) checkScalar('program.run', name, value, kind);
      checkNumber('program.run', name, value, isNotNaN, 'a number');
    }
    const values = new Map(entries);
    for (const scalar of this.#scalars) {
      const draw = scalar.arena === this.recorded.arena ? scalar.draw : undefined;
      scalar.value = values.get(scalar.name) ?? draw?.() ?? scalar.value;
    }
    this.#prepare();
    const { words, length } = this.recorded.list;
    this.device.queue.append(words.subarray(0, length));
    return this.result;
  }

  #assertRuns(op: string): void {
    if (this.#disposed) throw new DisposedError(`${op}: the program has already been disposed`);
    this.device.assertOpen(op);
    this.device.assertNotRecording(op);
    const gradient = `${op}: a gradient`;
    for (const { slot } of this.recorded.effects.gradients) if (!slot.root.disposed) slot.tensor.assertUsable(gradient);
  }

  /**
   * Runs the commands one by one on this thread, with the scalars of the latest run, and returns the time of each. The
   * commands have their usual effects: a recorded training step changes the parameters. Throws CommandError if one
   * fails, DisposedError after `dispose()`, DeviceError if the device computes in a worker.
   */
  profile(): CommandTiming[] {
    this.#assertRuns('program.profile');
    const { queue } = this.device;
    this.#prepare();
    queue.runSync();
    const { words, length } = this.recorded.list;
    const timings: CommandTiming[] = [];
    for (let position = 0, size = 0; position < length; position += size) {
      size = commandWords(words, position);
      queue.append(words.subarray(position, position + size));
      const start = performance.now();
      queue.runSync();
      const command = this.recorded.commands[timings.length] as RecordedCommand;
      timings.push({ ...commandInfo(command), milliseconds: performance.now() - start });
    }
    return timings;
  }

  /** Writes the values of scalars into the commands. Marks the columns of gradients that the run writes. */
  #prepare(): void {
    const { list, arena, effects } = this.recorded;
    for (const { index, kind, scalar } of list.patches) list.setScalar(index, kind, scalar.value);
    for (const storage of effects.written) storage.version++;
    arena.runs++;
    for (const { slot, before, after } of effects.gradients) {
      if (before.length > 0 && !slot.written) slot.complete(); // with zeros, because the run adds to them
      slot.restore(after);
    }
  }

  /**
   * Frees the memory of the program's tensors. They cannot be used afterwards, except by programs that were recorded
   * with them.
   */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.recorded.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** One line for each command: position, name, operands with shapes, FLOPs. Totals come last. */
  toString(): string {
    const lines = this.commands.map(({ op, operands, flops }, i) => {
      const described = operands.map(
        ([name, value]) => `${name}${typeof value === 'object' ? `[${value.join('×')}]` : `=${value}`}`,
      );
      const cost = flops > 0 ? `  ${countFlops(flops)}` : '';
      return `${String(i).padStart(4)}  ${op.padEnd(22)} ${described.join(' ')}${cost}`;
    });
    const mebibytes = (this.bytes / 2 ** 20).toFixed(1);
    const total = `${this.commands.length} commands, ${countFlops(this.flops)}, ${mebibytes} MiB`;
    return [...lines, total].join('\n');
  }
}

/** Describes a command for `Program.commands`. */
export function recordedCommand(
  op: string,
  operands: Readonly<Record<string, Operand>>,
  flops: number,
): RecordedCommand {
  return { op, operands: describedOperands(operands), flops };
}

/** Fields of a group are `group.field`. */
function describedOperands(operands: Readonly<Record<string, Operand>>, prefix = ''): (string | number | Shape)[] {
  const kept: (string | number | Shape)[] = [];
  for (const key in operands) {
    const [name, value] = [prefix + key, operands[key]];
    if (value === null || value === undefined) continue;
    if (value instanceof Scalar) kept.push(name, `$${value.name}`);
    else if (isHeapValue(value)) kept.push(name, value.shape);
    else if (typeof value === 'object') kept.push(...describedOperands(value, `${name}.`));
    else kept.push(name, typeof value === 'number' ? value : String(value));
  }
  return kept;
}

function commandInfo({ op, operands, flops }: RecordedCommand): CommandInfo {
  const pairs: [string, Shape | number | string][] = [];
  for (let i = 0; i < operands.length; i += 2) {
    const value = operands[i + 1] as Shape | number | string;
    pairs.push([operands[i] as string, typeof value === 'number' ? Number(value.toPrecision(6)) : value]);
  }
  return { op, operands: pairs, flops };
}

function countFlops(flops: number): string {
  const units = ['FLOP', 'kFLOP', 'MFLOP', 'GFLOP', 'TFLOP'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, flops)) / 3));
  return `${Number((flops / 1000 ** unit).toPrecision(4))} ${units[unit]}`;
}
