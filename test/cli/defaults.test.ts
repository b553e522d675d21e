// Help and documentation show the defaults that the code has.
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, type Option } from 'commander';
import { expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/commands/index.js';

const commands = COMMANDS.map((make) => make());
const serve = commands.find((command) => command.name() === 'serve') as Command;

it('no help text repeats a default as a literal', () => {
  const files = readdirSync('src/cli', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const literal = /\(default: (?!--)[-'"\d][^)]*\)/g; // `(default: ${…})` and words such as "the model's own" are none
  const found = files.flatMap((name) =>
    [...readFileSync(join('src/cli', name), 'utf8').matchAll(literal)]
      .filter(([text]) => !text.includes('${'))
      .map(([text]) => `${name}: ${text}`),
  );
  expect(files.length).toBeGreaterThan(40);
  expect(found).toEqual([]);
});

it.each(commands.map((command) => [command.name(), command] as const))(
  '%s has help with its defaults',
  (_, command) => {
    const help = new Command().addCommand(command).commands[0]?.helpInformation().replace(/\s+/g, ' ') ?? '';
    for (const { long, defaultValue } of command.options) {
      expect(help).toContain(long);
      if (defaultValue !== undefined && typeof defaultValue !== 'boolean')
        expect(help, `${long}`).toContain(`default: ${JSON.stringify(defaultValue)})`);
    }
  },
);

it.each(commands.map((command) => [command.name(), command] as const))(
  '%s tells the default of every value',
  (_, command) => {
    const valued = command.options.filter(({ required, optional, mandatory }) => (required || optional) && !mandatory);
    const silent = valued.filter(
      ({ defaultValue, description }) => defaultValue === undefined && !/\(default[ :]/.test(description),
    );
    expect(silent.map(({ flags }) => flags)).toEqual([]);
  },
);

/** The whole help of a command, with the text after the options. */
function helpOf(command: Command): string {
  let help = '';
  command
    .configureOutput({
      writeOut: (text) => {
        help += text;
      },
    })
    .outputHelp();
  return help;
}

it.each(COMMANDS.filter((make) => make().name() !== 'mpi'))(
  'the example in the help is a command line that parses',
  async (make) => {
    const command = make();
    const [, line = ''] = /\nExample:\n {2}simdformer (.*)\n/.exec(helpOf(command)) ?? [];
    const words = (line.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll(/["']/g, ''));
    expect(words[0]).toBe(command.name());
    await command
      .exitOverride()
      .action(() => {})
      .parseAsync(words.slice(1), { from: 'user' });
  },
);

/** The options of a command as a table. */
function tableOf(command: Command): string {
  const rows = command.options.map(({ flags, description, defaultValue }: Option) => {
    const [, meaning = description, told] = /^(.*) \(default: (.*)\)$/.exec(description) ?? [];
    const byDefault = told ?? (defaultValue === undefined ? 'off' : `${defaultValue}`);
    return `| \`${flags}\` | ${meaning.replaceAll('|', '\\|')} | ${byDefault} |`;
  });
  return ['| option | meaning | default |', '| --- | --- | --- |', ...rows].join('\n');
}

// UPDATE_DOCS=1 npx vitest run test/cli/defaults.test.ts
it('docs/server.md has the options of serve', async () => {
  const page = 'docs/server.md';
  const text = readFileSync(page, 'utf8');
  const table = /\| option \|[\s\S]*?\n(?=\n)/.exec(text)?.[0].trimEnd();
  if (process.env.UPDATE_DOCS && table !== undefined)
    await writeFile(
      page,
      text.replace(table, () => tableOf(serve)),
    );
  else expect(table).toBe(tableOf(serve));
});

it('defaults that pages give beside a flag are those of a command', () => {
  const pages = [
    'README.md',
    ...readdirSync('docs')
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  const wrong = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/`(--[a-z-]+)` (?:\(default |is )?(\d[\d.e-]*)\b/g)].flatMap(
      ([text, flag, value]) => {
        const options = commands.flatMap((command) => command.options.filter(({ long }) => long === flag));
        const isKnown = options.some(({ defaultValue }) => String(defaultValue) === value);
        return options.length === 0 || isKnown ? [] : [`${page}: ${text}`];
      },
    ),
  );
  expect(wrong).toEqual([]);
});
