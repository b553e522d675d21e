// CTC by prefix beam search, beside sums over all alignments of small cases.
import { expect, it } from 'vitest';
import { Random } from '../../src/core/random.js';
import { ctcAlignment, ctcBeams, type FrameScores } from '../../src/tasks/speech/ctc-beams.js';

/** Log-probabilities of `frames` frames, drawn from `seed`. */
function drawn(seed: number, frames: number, vocabulary: number): FrameScores {
  const random = new Random(seed, 0);
  const values = new Float32Array(frames * vocabulary);
  for (let frame = 0; frame < frames; frame++) {
    const weights = Array.from({ length: vocabulary }, () => Math.exp(2 * (random.uint32() / 2 ** 32) * 2));
    const sum = weights.reduce((a, b) => a + b, 0);
    weights.forEach((weight, i) => {
      values[frame * vocabulary + i] = Math.log(weight / sum);
    });
  }
  return { values, vocabulary };
}

/** Every alignment: its tokens without repetitions and blanks, and its log-probability. */
function* alignments({ values, vocabulary }: FrameScores, blank: number) {
  const frames = values.length / vocabulary;
  for (let n = 0; n < vocabulary ** frames; n++) {
    const path = Array.from({ length: frames }, (_, i) => Math.floor(n / vocabulary ** i) % vocabulary);
    const ids = path.filter((id, i) => id !== blank && id !== path[i - 1]);
    yield { path, ids, score: path.reduce((sum, id, i) => sum + values[i * vocabulary + id]!, 0) };
  }
}

it.each([
  [1, 5, 3, 0],
  [2, 6, 3, 2],
  [3, 5, 4, 1],
  [4, 4, 5, 0],
  [5, 7, 3, 0],
  [6, 1, 4, 3],
])(
  'finds the likeliest sequence over all alignments (seed %i, %i frames, %i tokens)',
  (seed, frames, vocabulary, blank) => {
    const scores = drawn(seed, frames, vocabulary);
    const sums = new Map<string, number>();
    for (const { ids, score } of alignments(scores, blank))
      sums.set(`${ids}`, (sums.get(`${ids}`) ?? 0) + Math.exp(score));
    const [wanted] = [...sums].sort((a, b) => b[1] - a[1])[0]!;
    expect(`${ctcBeams(scores, 1000, blank)}`).toBe(wanted);
  },
);

it.each([1, 2, 3, 4, 5])(
  'aligns a sequence with the frames as the likeliest of its alignments does (seed %i)',
  (seed) => {
    const scores = drawn(seed, 6, 3);
    const best = new Map<string, { path: number[]; score: number }>();
    for (const { path, ids, score } of alignments(scores, 0))
      if (score > (best.get(`${ids}`)?.score ?? Number.NEGATIVE_INFINITY)) best.set(`${ids}`, { path, score });
    for (const [ids, { path }] of best) {
      const tokens = ids === '' ? [] : ids.split(',').map(Number);
      expect(ctcAlignment(scores, tokens, 0), ids).toEqual(path);
    }
    expect(ctcAlignment(scores, [1, 1, 1, 1], 0)).toBeNull(); // takes seven frames
  },
);

it('differs from the most probable token of each frame if many alignments add up', () => {
  // P(blank) is the largest of each frame, but the token's alignments sum up to more.
  const row = [Math.log(0.5), Math.log(0.4), Math.log(0.1)];
  const scores = { values: Float32Array.from([...row, ...row, ...row]), vocabulary: 3 };
  expect(ctcBeams(scores, 4, 0)).toEqual([1]);
  expect(ctcBeams({ values: new Float32Array(), vocabulary: 3 }, 4, 0)).toEqual([]);
});
