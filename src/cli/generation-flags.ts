// Flags of commands that generate, made from the option table of `generate`.

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { GenerateOptions } from '../generate/generate-options.js';
import { type AnyRow, OPTION_ROWS } from '../generate/option-table.js';
import { notNegative, parseNumber } from './parsers.js';

/**
 * Adds the flags to a command. Flags for sampling imply `--sample`. A temperature of 0 overrules it, as in the server.
 */
export function addGenerationFlags(command: Command): Command {
  for (const [name, row] of OPTION_ROWS) {
    if (row.flag === undefined) continue;
    const isTemperature = name === 'temperature';
    const zero = isTemperature ? '; 0 chooses the most probable tokens' : '';
    const help = `${row.help}${zero} (default: ${defaultOf(row)})`;
    const option = new Option(row.flag, help).argParser(isTemperature ? notNegative : parserOf(row));
    command.addOption(row.category === 'sampling' ? option.implies({ sample: true }) : option);
  }
  return command;
}

/** Options of `generate` that were set by flags. */
export function generationFlags(flags: object): GenerateOptions {
  const values = flags as Readonly<Record<string, unknown>>;
  const isGreedy = values.temperature === 0;
  const rows = OPTION_ROWS.filter(
    ([name, { flag, category }]) =>
      flag !== undefined && values[name] !== undefined && !(isGreedy && category === 'sampling'),
  );
  const options = Object.fromEntries(rows.map(([name]) => [name, values[name]]));
  return isGreedy ? { ...options, doSample: false } : options;
}

/** The default of a flag: the model's own, if its folder can set one. */
function defaultOf({ default: defaultValue, huggingFace }: AnyRow): string {
  if (huggingFace === undefined) return `${defaultValue}`;
  const forFolders = huggingFace.default === undefined ? '' : `, or ${huggingFace.default} for Hugging Face folders`;
  return `the model's setting, otherwise ${defaultValue}${forFolders}`;
}

function parserOf({ rule }: AnyRow): (text: string) => number {
  return (text) => {
    const value = parseNumber(text);
    if (rule.accepts(value)) return value;
    throw new InvalidArgumentError(`Expected ${rule.expected}.`);
  };
}
