// Runs programs in turn, and writes a line of JSON for each: the outputs of each line of code, and the error. Programs call
// `print(line, …values)` instead of console.log.
import { pathToFileURL } from 'node:url';
import { show } from './show.js';

export interface Outcome {
  readonly outputs: Record<number, string[]>;
  readonly error?: string;
}

for (const file of process.argv.slice(2)) {
  const outputs: Record<number, string[]> = {};
  const print = (line: number, ...values: unknown[]) => {
    outputs[line] = [...(outputs[line] ?? []), values.map(show).join(' ')];
  };
  Object.assign(globalThis, { print });
  const outcome = await import(pathToFileURL(file).href).then(
    () => ({ outputs }),
    (error: Error) => ({ outputs, error: `${error.stack}` }),
  );
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}
process.exit(0);
