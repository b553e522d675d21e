// The option table: everything derived from a row follows it, and the page in docs shows it.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addGenerationFlags, generationFlags } from '../../src/cli/generation-flags.js';
import { OPTION_ROWS } from '../../src/generate/option-table.js';
import { samplingFields } from '../../src/server/sampling.js';
import { decoderOnly, makeModel } from './small-model.js';

const page = fileURLToPath(new URL('../../docs/generation.md', import.meta.url));

/** The table of docs/generation.md. */
function tableOfRows(): string {
  const code = (text: string | undefined) => (text === undefined ? '' : `\`${text}\``);
  const rows = OPTION_ROWS.map(([name, { default: own, help, huggingFace, flag, server }]) => {
    const [, meaning = help, told = 'none'] = /^(.*) \(default: (.*)\)$/.exec(help) ?? [];
    const byDefault = own === undefined ? told : code(JSON.stringify(own));
    const names = [huggingFace?.name, flag?.split(' ')[0], server?.name].map(code);
    return `| ${code(name)} | ${meaning} | ${byDefault} | ${names.join(' | ')} |`;
  });
  const head = [
    '| option | meaning | default | generation_config.json | flag | server |',
    '| --- | --- | --- | --- | --- | --- |',
  ];
  return [...head, ...rows].join('\n');
}

describe('the option table', () => {
  // UPDATE_DOCS=1 npx vitest run test/generate/option-table.test.ts
  it('is shown in docs/generation.md', async () => {
    const text = await readFile(page, 'utf8');
    const table = /\| option \|[\s\S]*?\n(?=\n)/.exec(text)?.[0].trimEnd();
    if (process.env.UPDATE_DOCS && table !== undefined)
      await writeFile(
        page,
        text.replace(table, () => tableOfRows()),
      );
    else expect(table).toBe(tableOfRows());
  });

  it('gives every flag to commands, and every field to requests', () => {
    const command = addGenerationFlags(new Command()).option('--sample');
    const flags = OPTION_ROWS.flatMap(([, { flag }]) => flag ?? []);
    expect(command.options.map(({ flags }) => flags)).toEqual([...flags, '--sample']);
    command.parse(['--min-p', '0.5', '--repetition-penalty', '1.5'], { from: 'user' });
    expect(generationFlags(command.opts())).toEqual({ minP: 0.5, repetitionPenalty: 1.5 });
    expect(command.opts().sample).toBe(true);
    for (const [, { server }] of OPTION_ROWS) if (server) expect(samplingFields).toHaveProperty(server.name);
  });

  it.each(OPTION_ROWS)('has a check for %s that refuses other types, and names the value', async (name, row) => {
    using model = makeModel(decoderOnly);
    for (const wrong of ['x', {}, Number.NaN]) {
      expect(row.rule.accepts(wrong), String(wrong)).toBe(false);
      await expect(model.generate([[3]], { [name]: wrong })).rejects.toThrow(`generate: ${name} is `);
    }
  });
});
