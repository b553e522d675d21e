import type { LogitsProcessor } from '../../generate/logits-processor.js';

const NEVER = Number.NEGATIVE_INFINITY;

/** The special tokens that the rules need. */
export interface TimestampTokens {
  /** Id of the token that ends the text. All lower ids are text. */
  readonly end: number;
  readonly noTimestamps: number;
  /** Id of the first time token. Times increase by 0.02 s from here to the end of the vocabulary. */
  readonly first: number;
  /** Maximum time of the first timestamp in a window, in steps; null for no limit. */
  readonly maxInitial: number | null;
}

/**
 * Rules for Whisper's time tokens (openai-whisper's decoding.py, Radford et al. 2022). A window begins with a time.
 * Times come in pairs without text between them: the end of a segment and the start of the next. Before the end of the
 * text, a single time is possible. Times never decrease. If all times together are more probable than every other
 * token, a time is chosen. `begin` is the number of tokens before the model's first choice.
 */
export function timestampRules(
  { end, noTimestamps, first, maxInitial }: TimestampTokens,
  begin: (tokens: readonly number[]) => number,
): LogitsProcessor {
  return (scores, tokens) => {
    scores[noTimestamps] = NEVER;
    const chosen = tokens.slice(begin(tokens));
    const isTime = (index: number) => (chosen.at(index) ?? first) >= first; // the position before all text counts as a time
    if (chosen.length === 0) {
      scores.fill(NEVER, 0, first);
      if (maxInitial !== null) scores.fill(NEVER, first + maxInitial + 1);
    } else if (isTime(-1)) {
      if (isTime(-2)) scores.fill(NEVER, first);
      else scores.fill(NEVER, 0, end);
    }
    const last = chosen.findLast((token) => token >= first);
    if (last !== undefined) scores.fill(NEVER, first, isTime(-1) && !isTime(-2) ? last : last + 1);
    if (isTimeLikelier(scores, first)) scores.fill(NEVER, 0, first);
  };
}

/** True if log Σ e^score of the times is above every other score. */
function isTimeLikelier(scores: Float32Array, first: number): boolean {
  let text = NEVER;
  for (let token = 0; token < first; token++) text = Math.max(text, scores[token] as number);
  let best = NEVER;
  for (let token = first; token < scores.length; token++) best = Math.max(best, scores[token] as number);
  if (best === NEVER) return false;
  let sum = 0;
  for (let token = first; token < scores.length; token++) sum += Math.exp((scores[token] as number) - best);
  return best + Math.log(sum) > text;
}
