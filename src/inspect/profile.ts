import { checkNumber, describeValue, isCount } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { CommandTiming, Program } from '../core/program.js';

/** Time and work of one op in a run. */
export interface OpProfile {
  readonly op: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** Share of the time of the whole run, 0 to 1. */
  readonly share: number;
  /** 0 if the op counts no floating-point operations, or is too fast for the clock. */
  readonly gflopsPerSecond: number;
  /** Bytes of its tensor operands. */
  readonly bytes: number;
}

/**
 * Runs a recorded program `runs` times, command by command, and sums the time per op, the most expensive first. The
 * time of each command is the fastest of the runs, 3 by default. It includes a few microseconds of overhead per
 * command. Throws ArgumentError, and the errors of `program.profile`.
 */
export function profile(program: Program, runs = 3): OpProfile[] {
  if (typeof program?.profile !== 'function') {
    throw new ArgumentError(
      `profile: the program is ${describeValue(program)}, expected the result of device.record()`,
    );
  }
  checkNumber('profile', 'runs', runs, isCount, 'a positive integer');
  const fastest = program.profile();
  for (let run = 1; run < runs; run++) {
    for (const [i, timing] of program.profile().entries())
      if (timing.milliseconds < (fastest[i] as CommandTiming).milliseconds) fastest[i] = timing;
  }
  const total = fastest.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const ops = [...new Set(fastest.map(({ op }) => op))].map((op): OpProfile => {
    const calls = fastest.filter((timing) => timing.op === op);
    const milliseconds = calls.reduce((sum, call) => sum + call.milliseconds, 0);
    const flops = calls.reduce((sum, call) => sum + call.flops, 0);
    const bytes = calls.reduce((sum, call) => sum + bytesOf(call), 0);
    const gflopsPerSecond = milliseconds && flops / milliseconds / 1e6; // 0 if the clock shows no time
    return { op, calls: calls.length, milliseconds, share: milliseconds / (total || 1), gflopsPerSecond, bytes };
  });
  return ops.sort((a, b) => b.milliseconds - a.milliseconds);
}

/** Every element has four bytes. */
function bytesOf({ operands }: CommandTiming): number {
  let elements = 0;
  for (const [, value] of operands) if (typeof value === 'object') elements += value.reduce((a, b) => a * b, 1);
  return 4 * elements;
}

/** A profile as a table for a terminal. */
export function renderProfile(ops: readonly OpProfile[]): string {
  const names = ['calls', 'ms', 'share', 'GFLOP/s', 'MB'].map((name) => name.padStart(10));
  const heading = `${'op'.padEnd(24)}${names.join('')}`;
  const lines = ops.map(({ op, calls, milliseconds, share, gflopsPerSecond, bytes }) => {
    const speed = gflopsPerSecond > 0 ? gflopsPerSecond.toFixed(1) : '';
    const columns = [
      `${calls}`,
      milliseconds.toFixed(3),
      `${(100 * share).toFixed(1)} %`,
      speed,
      (bytes / 1e6).toFixed(2),
    ];
    return `${op.padEnd(24)}${columns.map((column) => column.padStart(10)).join('')}`;
  });
  return [heading, ...lines].join('\n');
}
