// The report of the public interface: a file of declarations for each subpath, in test/api. A change of the interface is then
// a change of these files, which a review sees. API Extractor writes them from dist's declarations.
//
//   npm run check:api                the report must be that of the sources
//   npm run check:api -- --write     makes it so
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkers, run } from './tools.mjs';

const FOLDER = resolve('test/api');
const none = { default: { logLevel: 'none' } };

/** The files of declarations by subpath, without those that repeat another for pages. */
function entries() {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
  const typed = Object.entries(exports).filter(([path, { types }]) => types && !path.startsWith('./browser'));
  return typed.map(([path, { types }]) => [path === '.' ? 'index' : path.slice(2), resolve(types)]);
}

/** The text of a subpath's report. */
function reportOf({ Extractor, ExtractorConfig }, name, types, temporary) {
  const compilerOptions = {
    strict: true,
    module: 'esnext',
    moduleResolution: 'bundler',
    target: 'es2022',
    skipLibCheck: true,
    lib: ['es2023', 'dom', 'esnext.disposable'],
    types: [],
  };
  const configObject = {
    projectFolder: resolve('.'),
    mainEntryPointFilePath: types,
    newlineKind: 'lf',
    compiler: { overrideTsconfig: { compilerOptions, files: [types] } },
    apiReport: { enabled: true, reportFolder: temporary, reportTempFolder: temporary, reportFileName: name },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    messages: { extractorMessageReporting: none, tsdocMessageReporting: none, compilerMessageReporting: none },
  };
  const paths = { configObjectFullPath: resolve('api-extractor.json'), packageJsonFullPath: resolve('package.json') };
  const config = ExtractorConfig.prepare({ configObject, ...paths });
  const handled = (message) => (message.handled = true);
  Extractor.invoke(config, { localBuild: true, messageCallback: handled });
  return readFileSync(join(temporary, `${name}.api.md`), 'utf8');
}

/** Compares the report with test/api, or writes it there. Throws Error with the names of the subpaths that differ. */
export function checkApi(write = false) {
  const extractor = createRequire(join(checkers(), 'x.js'))('@microsoft/api-extractor');
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  const temporary = resolve('build/api');
  for (const folder of [temporary, ...(write ? [FOLDER] : [])]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  const changed = new Set((write ? [] : readdirSync(FOLDER)).map((file) => file.replace('.api.md', '')));
  for (const [name, types] of entries()) {
    const report = reportOf(extractor, name, types, temporary);
    const file = join(FOLDER, `${name}.api.md`);
    if (write) writeFileSync(file, report);
    else if (changed.has(name) && readFileSync(file, 'utf8') === report) changed.delete(name);
    else changed.add(name);
  }
  if (changed.size > 0)
    throw new Error(
      `the public interface of ${[...changed].join(', ')} differs from test/api: if it should, run npm run check:api -- --write, and add a changeset`,
    );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    checkApi(process.argv.includes('--write'));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}
