import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

/** Options, once they are an object with nothing in it but `names`: what is misspelt must not count as left out. */
export function checkKnown<Options extends object>(
  op: string,
  options: Options,
  names: readonly (keyof Options & string)[],
): Options {
  const known: readonly string[] = names;
  const unknown = Object.keys(checkOptions(op, options)).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new ArgumentError(`${op}: there is no option ${unknown}, only ${known.join(', ')}`);
  }
  return options;
}
