// The text of an answer while it is generated.

import type { BatchedToken } from '../generate/index.js';
import { isImageId } from '../models/image-tokens.js';
import { AnswerStream } from '../tasks/chat/answer-stream.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';

/** Tokens of the prompt that decide if the answer's first token is written with a space. */
const CONTEXT = 5;
const INCOMPLETE = '\ufffd';

/** Returns the text of tokens that follow a prompt, in whole characters. */
export function textAfter(
  tokenizer: PretrainedTokenizer,
  prompt: readonly number[],
  skipSpecial: boolean,
): AnswerStream {
  const before = prompt.slice(-CONTEXT).filter((token) => !isImageId(token));
  return new AnswerStream(tokenizer, skipSpecial, before);
}

/** A token with its log-probability, in the form of OpenAI's chats, and its id, as llama.cpp's server tells it. */
export interface TokenLogprob {
  readonly id: number;
  readonly token: string;
  readonly logprob: number;
  readonly bytes: number[] | null;
}

export interface TokenLogprobs extends TokenLogprob {
  readonly top_logprobs: readonly TokenLogprob[];
}

/** The log-probability of a token that is practically impossible, as in OpenAI's documentation. JSON has no −∞. */
const MIN_LOGPROB = -9999;

const encoder = new TextEncoder();

export function logprobsOf(
  tokenizer: PretrainedTokenizer,
  before: number | undefined,
  { token, logProbability, top }: BatchedToken,
): TokenLogprobs {
  const tokenLogprob = (id: number, logprob: number): TokenLogprob => {
    const text = tokenText(tokenizer, before, id);
    const bytes = text.includes(INCOMPLETE) ? null : [...encoder.encode(text)];
    return { id, token: text, logprob: Math.max(logprob, MIN_LOGPROB), bytes };
  };
  return {
    ...tokenLogprob(token, logProbability),
    top_logprobs: top.map((candidate) => tokenLogprob(candidate.token, candidate.logProbability)),
  };
}

/** Returns the text of a token that follows another one. Decoded alone, it might lose its leading space. */
function tokenText(tokenizer: PretrainedTokenizer, before: number | undefined, id: number): string {
  const options = { skipSpecial: false };
  if (before === undefined || isImageId(before)) return tokenizer.decode([id], options);
  return tokenizer.decode([before, id], options).slice(tokenizer.decode([before], options).length);
}
