#!/usr/bin/env node
// The command line. Each command is a file in commands/; what they share is here.

import { Command, CommanderError } from 'commander';
import { SimdformerError } from '../core/errors.js';
import { attentionCommand } from './commands/attention.js';
import { benchCommand } from './commands/bench.js';
import { evalCommand } from './commands/eval.js';
import { infoCommand } from './commands/info.js';
import { runCommand } from './commands/run.js';
import { scoreCommand } from './commands/score.js';
import { trainCommand } from './commands/train.js';

const program = new Command('simdformer')
  .description('Train, run and look into Transformers on the CPU.')
  .option('--threads <n>', 'threads to use (default: all cores)', Number)
  .option('--isa <name>', 'instruction set to use (default: the best there is)')
  .showHelpAfterError('(add --help for what is possible)')
  .exitOverride();
const commands = [infoCommand, trainCommand, runCommand, scoreCommand, attentionCommand, evalCommand, benchCommand];
for (const command of commands) program.addCommand(command().copyInheritedSettings(program));

try {
  await program.parseAsync();
} catch (error) {
  // Commander has said by itself what was wrong with the arguments.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const known = error instanceof SimdformerError || (error as NodeJS.ErrnoException).code !== undefined;
    console.error(known ? `simdformer: ${(error as Error).message}` : error);
    process.exitCode = 1;
  }
}
