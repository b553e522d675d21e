// The shell commands of README.md, CONTRIBUTING.md and docs/ name programs, files and options that exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../src/cli/commands/index.js';

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const scripts = Object.keys((JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object }).scripts);

/** Words of a line of shell, without quotes, up to a comment, pipe, redirection or next command. */
function wordsOf(line: string): string[] {
  const words = line.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
  const end = words.findIndex((word) => /^(#.*|\||[<>]+.*|&&|;)$/.test(word));
  return (end < 0 ? words : words.slice(0, end)).map((word) => word.replaceAll(/['"]/g, ''));
}

/** Commands of a page: the lines of its shell blocks, and inline code that begins like a command. */
function commandsOf(page: string): string[] {
  const text = readFileSync(page, 'utf8');
  const blocks = [...text.matchAll(/^```(?:sh|bash)\n([\s\S]*?)^```/gm)].flatMap(([, code = '']) =>
    code.replaceAll(/\\\n\s*/g, ' ').split('\n'),
  );
  const inline = [...text.matchAll(/`((?:[A-Z_]+=\S+ )*(?:npm|npx|node|python3) (?!v\d)[^`\n]+)`/g)].map(
    ([, code = '']) => code,
  );
  return [...blocks, ...inline];
}

/** The command line, whose commands only parse their arguments. */
function commandLine(): Command {
  const program = new Command('simdformer').option('--threads <n>').option('--isa <name>').exitOverride();
  const parseOnly = (command: Command): Command => {
    command.commands.forEach(parseOnly);
    return command.action(() => {}).configureOutput({ writeErr: () => {} });
  };
  for (const make of COMMANDS) program.addCommand(parseOnly(make().copyInheritedSettings(program)));
  return program.configureOutput({ writeErr: () => {} });
}

const found = pages.flatMap((page) => commandsOf(page).map((line) => ({ page, line, words: wordsOf(line) })));
/** Commands that contain a word, with the words that follow it. */
const following = (pattern: RegExp) =>
  found.flatMap(({ page, line, words }) => {
    const at = words.findIndex((word) => pattern.test(word));
    return at < 0 ? [] : [{ name: `${page}: ${line}`, program: words[at] as string, rest: words.slice(at + 1) }];
  });

it('files of the repository that pages name exist', () => {
  const missing = ['ARCHITECTURE.md', ...pages].flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/`((?:src|native|test|bench|examples|scripts|wasm)\/[\w./-]+)`/g)]
      .filter(([, path = '']) => !/\bdist\b/.test(path) && !existsSync(path)) // builds make dist
      .map(([, path]) => `${page}: ${path}`),
  );
  expect(missing).toEqual([]);
});

describe('shell commands of the pages', () => {
  const ours = following(/^simdformer$/).filter(
    ({ name, rest }) => rest.length > 0 && !/npm install|--help/.test(name),
  );
  it.each(ours.filter(({ rest }) => rest.length > 1))('$name', async ({ rest }) => {
    await commandLine().parseAsync(rest, { from: 'user' });
  });

  it('name commands that exist', () => {
    const known = COMMANDS.map((make) => make().name());
    const named = ours.flatMap(({ rest: [name = ''] }) => (/^[a-z]/.test(name) ? [name] : []));
    expect([...new Set(named)].filter((name) => !known.includes(name))).toEqual([]);
  });

  it.each(following(/^run$/).filter(({ name }) => name.includes('npm run')))('$name', ({ rest: [script, ...rest] }) => {
    expect(scripts).toContain(script);
    const names = rest.filter((word) => !word.startsWith('-'));
    if (script === 'bench' && names[0] !== undefined) expect(existsSync(`bench/${names[0]}.ts`)).toBe(true);
  });

  const files = following(/^(node|tsx|sh|python3)$/).filter(({ rest: [file] }) => /\.(mjs|ts|sh|py)$/.test(file ?? ''));
  it.each(files)('$name', ({ rest: [file = ''] }) => expect(existsSync(file)).toBe(true));

  it('are found', () => {
    expect(ours.length).toBeGreaterThan(30);
    expect(files.length).toBeGreaterThan(10);
  });
});
