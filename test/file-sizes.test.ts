// Files stay short enough to be read in one piece: CONTRIBUTING.md, "Style".
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

/** Maximum numbers of lines. The first pattern that fits a path counts. */
const LIMITS: readonly (readonly [paths: RegExp, lines: number])[] = [
  [/^test\/data\/|^scripts\/checkpoints\.mjs$/, Number.POSITIVE_INFINITY], // data, and a list
  [/^src\/models\/families\//, 700],
  [/^test\//, 900],
  [/./, 500],
];

const isCode = (path: string) => /\.(ts|tsx|mts|mjs|js|h|cc|inc)$/.test(path);
const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { encoding: 'utf8' });

it('has no file above its limit', () => {
  const limitOf = (path: string) => LIMITS.find(([paths]) => paths.test(path))?.[1] as number;
  const lengths = listed
    .split('\n')
    .filter(isCode)
    .map((path) => [path, linesIn(path)] as const);
  expect(lengths.length).toBeGreaterThan(1500);
  expect(lengths.filter(([path, lines]) => lines > limitOf(path))).toEqual([]);
});

/** The number of lines; 0 for a file that was deleted. */
function linesIn(path: string): number {
  try {
    return readFileSync(path, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}
