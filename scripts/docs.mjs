// The documentation site (docs/.vitepress): static files that work offline and on every host.
//
//   npm run docs              builds docs/.vitepress/dist
//   npm run docs -- preview   serves what was built
//   npm run docs -- dev       serves the pages of docs/ while they are edited
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { guides, included } from '../docs/.vitepress/sections.mjs';
import { subpaths } from './subpaths.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const docs = join(root, 'docs');

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    console.error(`docs: ${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
    process.exit(1);
  }
}

const packageOf = (name, ...path) => join(docs, 'node_modules', name, ...path);

/** The engine and the package for pages, which the snippets run on. */
function writePackage() {
  run(process.execPath, 'scripts/browser.mjs', 'docs/public/package/dist/browser');
  cpSync(join(root, 'wasm/dist'), join(docs, 'public/package/wasm/dist'), { recursive: true });
}

/** Copies pages of the repository, with their pictures. Links lead to the site's pages. */
function writeIncluded() {
  mkdirSync(join(docs, 'site'), { recursive: true });
  for (const [path, name] of Object.entries(included)) {
    const folder = posix.dirname(path);
    const text = readFileSync(join(root, path), 'utf8').replace(
      /(!?)\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)/g,
      (_, picture, label, target, part = '') => {
        const file = posix.join(folder, target);
        if (picture) {
          cpSync(join(root, file), join(docs, 'site', posix.basename(file)));
          return `![${label}](./${posix.basename(file)})`;
        }
        const page = included[file] ? `./${included[file]}.md` : file.match(/^docs\/(.+\.md)$/)?.[1];
        return page ? `[${label}](${page.startsWith('./') ? page : `../${page}`}${part})` : `[${label}](../../${file})`;
      },
    );
    writeFileSync(join(docs, 'site', `${name}.md`), text);
  }
}

/** One page for each export, from the comments in src/. */
function writeApi() {
  const entries = ['src/index.ts', ...subpaths.map((name) => `src/${name}/index.ts`)];
  run(
    process.execPath,
    packageOf('typedoc', 'bin/typedoc'),
    '--options',
    'docs/typedoc.json',
    '--skipErrorChecking', // `npm run lint` checks the types
    ...entries.flatMap((entry) => ['--entryPoints', entry]),
  );
}

/** https://llmstxt.org: the site's pages for language models. */
function writeIndexForModels() {
  const { description } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const lines = guides.flatMap(({ text, items }) => [
    `\n## ${text}\n`,
    ...items.map((page) => `- [${page.text}](${page.link.slice(1)}.html)`),
  ]);
  writeFileSync(join(docs, 'public/llms.txt'), `# simdformer\n\n> ${description}\n${lines.join('\n')}\n`);
}

/** Fails if a page is missing in the list of guides. */
function checkGuides() {
  const listed = new Set(guides.flatMap(({ items }) => items.map(({ link }) => `${link.slice(1)}.md`)));
  const missing = readdirSync(docs).filter((name) => name.endsWith('.md') && name !== 'index.md' && !listed.has(name));
  if (missing.length === 0) return;
  console.error(`docs: docs/.vitepress/sections.mjs does not list ${missing.join(', ')}`);
  process.exit(1);
}

const [command = 'build', ...rest] = process.argv.slice(2);
if (!['build', 'dev', 'preview'].includes(command)) {
  console.error(`docs: ${command} is not a command, expected build, dev or preview`);
  process.exit(2);
}
if (!existsSync(packageOf('vitepress'))) run('npm', '--prefix', 'docs', 'ci');
if (command !== 'preview') {
  checkGuides();
  writePackage();
  writeIncluded();
  writeApi();
  writeIndexForModels();
}
run(process.execPath, packageOf('vitepress', 'bin/vitepress.js'), command, 'docs', ...rest);
