#!/usr/bin/env node
// The command line. Each command is a file in commands/; common.ts has functions that several commands use.

import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { Command, CommanderError, Option } from 'commander';
import { INSTRUCTION_SETS, MAX_THREADS } from '../backend/backend.js';
import { MATMUL_ARITHMETICS } from '../core/runtime.js';
import { COMMAND_GROUPS } from './commands/index.js';
import { describeError, EXIT, interruptionIn, reasonOf } from './exit.js';
import { integer } from './parsers.js';

/** Version of this package, for src and dist. */
function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const program = new Command('simdformer')
  .description('Load, run, train, fine-tune, quantize and serve Transformers on the CPU.')
  .version(version())
  .option('--threads <n>', 'number of threads (default: all cores)', integer(1, MAX_THREADS))
  .addOption(
    new Option('--isa <name>', 'instruction set of the kernels (default: the best of this machine)').choices(
      INSTRUCTION_SETS,
    ),
  )
  .addOption(
    new Option(
      '--matmul <type>',
      'type to which the factors of matrix products and attention are rounded (default: float32)',
    ).choices(MATMUL_ARITHMETICS),
  )
  .addHelpText(
    'after',
    '\nsimdformer COMMAND --help lists the options of a command. MODEL is a folder, a hub id or a GGUF file.',
  )
  .showHelpAfterError('(add --help for a list of options)')
  .exitOverride();
for (const [heading, commands] of Object.entries(COMMAND_GROUPS)) {
  program.commandsGroup(heading);
  for (const command of commands) program.addCommand(command().copyInheritedSettings(program));
}
program.commandsGroup('Help:').helpCommand('help [command]', 'show the help of a command');

// The reader of standard output may exit early, as `head` does; the program then ends. Errors of standard error are
// ignored: a training must not end because its progress cannot be shown.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.done);
  console.error(`simdformer: the output cannot be written: ${reasonOf(error)}`);
  process.exit(process.exitCode || EXIT.failed);
});
process.stderr.on('error', () => {});

// Node would abort with a core dump when it resets a terminal that was closed.
const terminals = [0, 1, 2].filter((stream) => isatty(stream));
process.on('exit', () => {
  if (terminals.some((stream) => !isatty(stream))) process.kill(process.pid, 'SIGHUP');
});

try {
  if (process.argv.length <= 2) program.outputHelp();
  else await program.parseAsync();
} catch (error) {
  // Commander has already reported the wrong arguments.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  else {
    const message = describeError(error);
    console.error(message === undefined ? error : `simdformer: ${message}`);
    const by = interruptionIn(error)?.by;
    process.exitCode = by ? EXIT[by] : EXIT.failed;
    process.stdin.destroy(); // an open one would keep the program alive
  }
}
