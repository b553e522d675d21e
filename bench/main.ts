// npm run bench -- <name> [options]: compares simdformer with the fastest peers in one run. Each file of this folder
// answers one question.

import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { MAX_THREADS } from '../src/backend/backend.js';
import { integer } from '../src/cli/parsers.js';
import { type Bench, Run } from './harness/bench.js';
import { BenchError } from './harness/error.js';

/** In the order in which `all` runs them. */
const benches: Readonly<Record<string, () => Promise<{ default: Bench }>>> = {
  gemm: () => import('./gemm.js'),
  attention: () => import('./attention.js'),
  pointwise: () => import('./pointwise.js'),
  encoder: () => import('./encoder.js'),
  hybrid: () => import('./hybrid.js'),
  train: () => import('./train.js'),
  finetune: () => import('./finetune.js'),
  decode: () => import('./decode.js'),
  speculative: () => import('./speculative.js'),
  wasm: () => import('./wasm.js'),
  contention: () => import('./contention.js'),
  start: () => import('./start.js'),
  serve: () => import('./serve.js'),
  burst: () => import('./burst.js'),
  embeddings: () => import('./embeddings.js'),
  texts: () => import('./texts.js'),
  memory: () => import('./memory.js'),
  'memory-hours': () => import('./memory-hours.js'),
  soak: () => import('./soak.js'),
  'soak-workers': () => import('./soak-workers.js'),
  masks: () => import('./masks.js'),
  packed: () => import('./packed.js'),
  real: () => import('./real.js'),
  'real-encoders': () => import('./real-encoders.js'),
  quality: () => import('./quality.js'),
  int8: () => import('./int8.js'),
  integers: () => import('./integers.js'),
  pages: () => import('./pages.js'),
  pretrained: () => import('./pretrained.js'),
  growth: () => import('./growth.js'),
  javascript: () => import('./javascript.js'),
};

interface Options {
  threads: number;
  json?: boolean;
  quick?: boolean;
  only?: RegExp;
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

async function runOne(name: string, options: Options): Promise<void> {
  const { default: bench } = await (benches[name] as () => Promise<{ default: Bench }>)();
  const { threads, json = false, quick = false, only = null } = options;
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`;
  let run: Run | undefined;
  try {
    run = new Run({ name, threads, json, quick, only, command }, bench.question);
    await run.measureMachine();
    await bench.run(run);
    await run.finish();
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
  } finally {
    run?.close();
  }
}

async function runAgainst(ref: string | undefined, options: Options): Promise<void> {
  const { threads, quick = false, json = false, only = null } = options;
  if (ref === undefined) return program.error('error: against what? npm run bench -- against <commit, branch or tag>');
  const { against } = await import('./against.js');
  try {
    await against(ref, { threads, quick, json, only });
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    console.error(`against: ${error.message}`);
    process.exitCode = 1;
  }
}

/** Runs every benchmark in a separate process, so that they do not influence each other. */
function runAll(): void {
  const failed: string[] = [];
  for (const name of Object.keys(benches)) {
    const args = process.argv.slice(2).map((arg) => (arg === 'all' ? name : arg));
    const child = [...process.execArgv, fileURLToPath(import.meta.url), ...args];
    if (spawnSync(process.execPath, child, { stdio: 'inherit' }).status !== 0) failed.push(name);
    console.log();
  }
  if (failed.length === 0) return;
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

async function list(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(benches).map(async ([name, load]) => `  ${name.padEnd(12)} ${(await load()).default.question}`),
  );
  lines.push(`  ${'all'.padEnd(12)} Every one of them, one after the other.`);
  lines.push(`  ${'against'.padEnd(12)} Does another commit, as in \`against main\`, do the same in less time?`);
  return lines.join('\n');
}

const program = new Command('npm run bench --')
  .description('Times simdformer beside other libraries, in turn, after checking that their answers agree.')
  .argument('[name]', 'the benchmark')
  .argument('[ref]', 'the commit that `against` measures beside this tree')
  .option('--threads <n>', 'threads of every contestant', integer(1, MAX_THREADS), Math.min(2, availableParallelism()))
  .option('--only <regex>', 'rows whose names match', pattern)
  .option('--quick', 'few rounds, for a first look')
  .option('--json', 'print the results as JSON')
  .addHelpText('after', `\nBenchmarks:\n${await list()}`)
  .showHelpAfterError('(--help tells more)')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .action(async (name: string | undefined, ref: string | undefined, options: Options) => {
    if (name === undefined) return program.outputHelp();
    if (name === 'against') return runAgainst(ref, options);
    if (ref !== undefined) program.error(`error: '${name}' measures this tree alone; it takes no '${ref}'`);
    if (name === 'all') return runAll();
    if (!Object.hasOwn(benches, name)) {
      program.error(`error: there is no benchmark '${name}'; there are ${Object.keys(benches).join(', ')} and all`);
    }
    await runOne(name, options);
  });

await program.parseAsync();
