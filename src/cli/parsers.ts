// Parsers of options for commander, which reports their errors as errors of usage.

import { extname } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { keepAliveOf } from '../server/keep-alive.js';

type Parser = (text: string) => number;

/** Upper limit of hypotheses for a text on the command line. */
export const MAX_HYPOTHESES = 4096;

/** Path of an SVG file. A path without extension may be a device. */
export function svgFile(path: string): string {
  const extension = extname(path);
  if (extension === '' || extension.toLowerCase() === '.svg') return path;
  throw new InvalidArgumentError(
    `Expected a name that ends in .svg, because pictures are SVG, not ${extension.slice(1)}.`,
  );
}

/** Labels, separated by commas. */
export function labelList(text: string): readonly string[] {
  const labels = text.split(',').map((label) => label.trim());
  if (labels.includes('')) throw new InvalidArgumentError('Expected labels separated by commas, none of them empty.');
  return labels;
}

/** An integer from `min` to `max`. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Parser {
  return (text) => {
    const value = parseNumber(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    // The message names the upper limit only if the value exceeds it.
    const isUnlimited = max === Number.MAX_SAFE_INTEGER && !(value > max);
    const range = isUnlimited ? `${min} or more` : `${min} to ${max}`;
    throw new InvalidArgumentError(`Expected an integer, ${range}.`);
  };
}

/** A number above 0. */
export const positive: Parser = (text) => {
  const value = parseNumber(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Expected a number above 0.');
};

/** A number, 0 or more. */
export function notNegative(text: string): number {
  const value = parseNumber(text);
  if (value >= 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Expected a number, 0 or more.');
}

const UNITS = ['', 'k', 'm', 'g', 't'];

/**
 * A number of bytes with a unit, such as 512MiB, 4GB or 4G. Units without an i are powers of 1000, except for a single
 * letter.
 */
export function bytes(text: string): number {
  const [, count, letter, i, b] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)$/i.exec(text.trim()) ?? [];
  const value = Number(count) * (b && !i ? 1000 : 1024) ** UNITS.indexOf((letter ?? '').toLowerCase());
  if (count !== undefined && value >= 1) return Math.round(value);
  throw new InvalidArgumentError('Expected a size, such as 512MiB, 4GB or 4G.');
}

/** Seconds of a duration such as 90s, 5m or 1h30m. Negative ones mean forever. */
export function keepAlive(text: string): number {
  const seconds = keepAliveOf(text);
  if (seconds !== null) return seconds;
  throw new InvalidArgumentError('Expected a duration, such as 90s, 5m or 1h30m, or -1 for no limit.');
}

/** A number from 0 to below 1. */
export function share(text: string): number {
  const value = parseNumber(text);
  if (value >= 0 && value < 1) return value;
  throw new InvalidArgumentError('Expected a number from 0 to below 1.');
}

/** Renamed columns such as `text=review,label=stars`: the name in rows, then the column. */
export function columnNames(text: string): Record<string, string> {
  const pairs = text.split(',').map((pair) => pair.split('=').map((name) => name.trim()));
  if (pairs.every((pair) => pair.length === 2 && !pair.includes(''))) return Object.fromEntries(pairs);
  throw new InvalidArgumentError('Expected names of columns, such as text=review,label=stars.');
}

/** Parses a number. Blank text gives NaN. */
export function parseNumber(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}
