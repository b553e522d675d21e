import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { duration } from '../../bench/harness/bench.js';
import { agree, type Contestant, contest } from '../../bench/harness/contest.js';
import { Peer } from '../../bench/harness/peer.js';
import { geometricMean, median, quantile, summarize } from '../../bench/harness/statistics.js';

describe('statistics', () => {
  test('interpolates quantiles between neighbours', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(quantile([10, 20, 30, 40, 50], 0.25)).toBe(20);
    expect(summarize([5, 1, 4, 2, 3])).toEqual({ median: 3, quartiles: [2, 4], fastest: 1, rounds: 5 });
  });

  test('the geometric mean of a ratio and its inverse is 1', () => {
    expect(geometricMean([4, 0.25])).toBeCloseTo(1, 12);
  });

  test('formats durations in a suitable unit', () => {
    expect(['1.5e-6', '0.0123', '2'].map((seconds) => duration(Number(seconds)))).toEqual([
      '1.50 µs',
      '12.3 ms',
      '2.00 s',
    ]);
  });
});

describe('a contest', () => {
  /** Says that it took so long, whatever it took, and remembers when it was asked. */
  const telling = (name: string, seconds: number, sample: number[], asked: string[]): Contestant => ({
    name,
    take: () => {
      asked.push(name);
      return { seconds, sample };
    },
  });

  test('is decided by the ratio, and the contestants take turns at going first', async () => {
    const asked: string[] = [];
    const contestants = [telling('a', 0.01, [1, 2], asked), telling('b', 0.03, [1, 2], asked)];
    const { times, ratios } = await contest(contestants, { rounds: 4 });
    expect(ratios).toEqual({ b: 3 });
    expect(times.a?.rounds).toBe(4);
    expect(asked.slice(-8).join('')).toBe('abbaabba'); // after both have warmed up
  });

  test('has no ratio for a row without a peer', async () => {
    const reference = { ...telling('copy', 0.02, [1, 2], []), isReference: true };
    const { times, ratios } = await contest([telling('a', 0.01, [1, 2], []), reference], { rounds: 1 });
    expect(times.copy?.median).toBe(0.02);
    expect(ratios).toEqual({});
  });

  test('is refused if the answers differ', async () => {
    const contestants = [telling('a', 0.01, [1, 2], []), telling('b', 0.01, [1, 2.1], [])];
    await expect(contest(contestants, { rounds: 1 })).rejects.toThrow('a and b disagree by 0.05');
    expect(() => agree('a', [1], 'b', [Number.NaN], 1)).toThrow('disagree');
    expect(() => agree('a', [1], 'b', [1, 1], 1)).toThrow('disagree');
  });
});

describe('a peer', () => {
  test('answers line by line', async () => {
    const peer = new Peer('cat', []);
    expect(await peer.ask({ a: 1 })).toEqual({ a: 1 });
    peer.close();
  });

  test('reports why it cannot be started, or has ended', async () => {
    await expect(new Peer('/no/such/program', []).ask({})).rejects.toThrow('ENOENT');
    const ending = new Peer(process.execPath, ['-e', 'console.error("no library"); process.exitCode = 1']);
    await expect(ending.hear()).rejects.toThrow('no library');
  });
});

describe('npm run bench', () => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const bench = (...args: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', 'bench/main.ts', ...args], { cwd: root, encoding: 'utf8' });

  test.each([
    [['nothing'], "there is no benchmark 'nothing'"],
    [['gemm', '--threads', 'two'], 'Expected an integer, 1 to 64'],
    [['gemm', '--only', '('], 'Unterminated group'],
    [['gemm', '--faster'], "unknown option '--faster'"],
  ])('%j is refused with exit code 2', (args, message) => {
    const { status, stderr } = bench(...args);
    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });

  test('lists the rows if none matches', () => {
    const { status, stderr } = bench('pointwise', '--only', 'no such row');
    expect(stderr).toMatch(/no row matches .*\n {2}layerNorm/);
    expect(status).toBe(1);
  });

  test('lists every benchmark with its question', () => {
    const { status, stdout } = bench();
    expect(status).toBe(0);
    for (const name of ['gemm', 'attention', 'pointwise', 'encoder', 'train', 'decode', 'contention', 'start']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} +How .*\\?$`, 'm'));
    }
  });
});
