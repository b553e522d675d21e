// Every export has an example in docs/examples, which compiles (test/readme.test.ts) and prints what its comments say.
// `UPDATE_DOCS=1` writes the outputs into the comments.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transformSync } from 'esbuild';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiExample, apiExamples, exampleOf, folder } from '../../scripts/api-examples.mjs';
import { subpaths } from '../../scripts/subpaths.mjs';
import { describeWith, type Equipment, reasonAgainst } from '../equipment.js';
import { smallHub } from '../site/hub.js';
import type { Outcome } from './run.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const examples = apiExamples();

const isTypeOnly = ({ declarations = [] }: ts.Symbol) => declarations.every(ts.isTypeOnlyImportOrExportDeclaration);

/** Functions, classes and objects of each subpath. A name that several subpaths export is listed for each. */
function exportsBySubpath(): { subpath: string; name: string; symbol: ts.Symbol }[] {
  const files = new Map(
    ['index', ...subpaths].map((name) => [
      join(root, name === 'index' ? 'src/index.ts' : `src/${name}/index.ts`),
      name,
    ]),
  );
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const program = ts.createProgram([...files.keys()], ts.parseJsonConfigFileContent(config, ts.sys, root).options);
  const checker = program.getTypeChecker();
  return [...files].flatMap(([file, subpath]) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file) as ts.SourceFile) as ts.Symbol;
    const values = checker.getExportsOfModule(module).filter((own) => !isTypeOnly(own));
    const all = values.map((own) => {
      const symbol = own.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(own) : own;
      return { subpath, name: own.name, symbol };
    });
    return all.filter(({ symbol }) => symbol.flags & ts.SymbolFlags.Value);
  });
}

/** JavaScript with each console.log as a call that tells its line, and with imports of the bundle that test/bundle.mjs makes. */
const prepared = (code: string) => {
  const lines = code
    .split('\n')
    .map((line, i) => line.replace(/\bconsole\.log\(/g, `print(${i}, `))
    .join('\n')
    .replaceAll(/'simdformer(?:\/([\w-]+))?'/g, (_, path = 'index') =>
      JSON.stringify(join(root, `build/tests/api-${path}.js`)),
    )
    .replace('localhost:6379', `127.0.0.1:${redisPort}`);
  return transformSync(lines, { loader: 'ts', format: 'esm', target: 'es2022' }).code;
};

const COMMENT = /^(?<code>.*?\); \/\/) (?<output>.*)$/;

/** The lines whose comment is not the output: all if `outcome` is an error. */
function withOutputs(code: string, { outputs }: Outcome): string {
  const lines = code.split('\n').map((line, i) => {
    const output = outputs[i]?.join('; ');
    return output === undefined ? line : `${line.match(COMMENT)?.groups?.code ?? `${line} //`} ${output}`;
  });
  return lines.join('\n');
}

/** Programs that the examples of a subpath need. */
const needs: Readonly<Record<string, readonly Equipment[]>> = { bulk: ['Redis'], mpi: ['MPI'] };

let work: string;
let hub: Awaited<ReturnType<typeof smallHub>>;
let redis: ChildProcess | undefined;
let redisPort: number;

beforeAll(async () => {
  work = mkdtempSync(join(root, 'node_modules/.api-examples-'));
  hub = await smallHub();
  if (reasonAgainst('Redis') !== null) return;
  redisPort = await freePort();
  const settings = ['--port', `${redisPort}`, '--save', '', '--dir', work];
  redis = spawn('redis-server', settings, { stdio: 'ignore' }); // its clients wait until it answers
});

afterAll(async () => {
  await hub.stop();
  redis?.kill();
  rmSync(work, { recursive: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function run(page: string, programs: readonly ApiExample[]): Promise<Outcome[]> {
  const files = programs.map(({ code }, i) => {
    const file = join(work, `${page}-${i}.mjs`);
    writeFileSync(file, prepared(code));
    return file;
  });
  const runner = join(root, 'build/tests/api-examples.js');
  const env = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HOME: join(work, 'hub'), SIMDFORMER_QUIET: '1' };
  const settings = { cwd: work, env, maxBuffer: 1 << 26 };
  const { stdout } = await promisify(execFile)(process.execPath, [runner, ...files], settings);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"outputs"'));
  return lines.map((line) => JSON.parse(line) as Outcome);
}

function update(page: string, programs: readonly ApiExample[], outcomes: readonly Outcome[]): void {
  const file = join(folder, `${page}.md`);
  let text = readFileSync(file, 'utf8');
  for (const [i, { code }] of programs.entries()) {
    const outcome = outcomes[i];
    if (outcome) text = text.replace(code, () => withOutputs(code, outcome));
  }
  writeFileSync(file, text);
}

describe('examples', () => {
  it('exist for every export', () => {
    const all = exportsBySubpath();
    const shown = new Set(
      all.filter(({ subpath, name }) => exampleOf(examples, subpath, name)).map(({ symbol }) => symbol),
    );
    expect(all.length).toBeGreaterThan(300);
    const missing = all.filter(({ symbol }) => !shown.has(symbol)).map(({ subpath, name }) => `${subpath}:${name}`);
    expect(missing).toEqual([]);
  });

  it('use what they import', () => {
    const unused = examples.flatMap(({ page, title, code, imports }) => {
      const body = code.replaceAll(/^import .*$/gm, '');
      const names = imports.map((name) => name.slice(name.indexOf(':') + 1));
      return names
        .filter((name) => !new RegExp(`\\b${name}\\b`).test(body))
        .map((name) => `${page}, ${title}: ${name}`);
    });
    expect(unused).toEqual([]);
  });

  it('print something', () => {
    const silent = examples.filter(({ code }) => !code.split('\n').some((line) => COMMENT.test(line)));
    expect(silent.map(({ page, title }) => `${page}, ${title}`)).toEqual([]);
  });
});

for (const page of new Set(examples.map((example) => example.page))) {
  describeWith(needs[page] ?? [], `examples of ${page}`, () => {
    const programs = examples.filter((example) => example.page === page);
    let outcomes: Outcome[];
    beforeAll(async () => {
      outcomes = await run(page, programs);
      if (process.env.UPDATE_DOCS === '1') update(page, programs, outcomes);
    });

    it.each(programs.map(({ title, code }, i) => [title, code, i] as const))('%s', (_, code, i) => {
      const outcome = outcomes[i];
      expect(outcome?.error).toBeUndefined();
      if (process.env.UPDATE_DOCS !== '1') expect(code).toBe(withOutputs(code, outcome as Outcome));
    });
  });
}
