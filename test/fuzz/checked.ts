// Runs one input of a fuzzer. Errors of this package are an answer; every other error is a finding.
import { FormatError, SimdformerError } from '../../src/core/errors.js';

let inputs = 0;

/** Prints the input as JSON and rethrows, unless `action` succeeds or throws a SimdformerError. */
export async function checked(input: unknown, action: () => unknown): Promise<void> {
  if (inputs++ === 0) process.on('exit', () => console.log(`${inputs} inputs`));
  try {
    await action();
  } catch (error) {
    if (error instanceof SimdformerError) return;
    console.error(`the input was ${input instanceof Uint8Array ? hexOf(input) : JSON.stringify(input)}`);
    throw error;
  }
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The result of `action`, or undefined if it throws a FormatError. */
export async function orFormatError<T>(action: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

/** Runs `action` without stack traces: nobody looks at most of what is thrown. */
export async function withoutTraces(action: () => Promise<void>): Promise<void> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    await action();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
