// The fields around the choices of chats and completions.

import { randomUUID } from 'node:crypto';
import type { Answers, Usage } from './answers.js';
import type { Call } from './endpoint.js';
import type { ServedModel } from './served-model.js';

export interface Frame {
  readonly id: string;
  readonly object: string;
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

export function frameOf(prefix: string, object: string, { id, model }: ServedModel): Frame {
  return {
    id: `${prefix}-${randomUUID().replaceAll('-', '')}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: id,
    system_fingerprint: `simdformer-${model.device.info.version}`,
  };
}

export function usageOf({ prompt, completion, cached }: Usage) {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

/**
 * Passes events on. Records the time of the first token, and at the end the numbers of tokens, in the log of the call.
 */
export async function* recordUsage<T>(
  events: AsyncGenerator<T, void, void>,
  answers: Answers,
  call: Call<unknown>,
  model: string,
): AsyncGenerator<T, void, void> {
  const start = performance.now();
  let isFirst = true;
  try {
    for await (const event of events) {
      if (isFirst) call.note({ firstTokenMs: performance.now() - start });
      isFirst = false;
      yield event;
    }
  } finally {
    const { prompt, completion, cached } = answers.usage;
    const { phases } = answers;
    call.note({ model, promptTokens: prompt, completionTokens: completion, cachedTokens: cached, phases });
  }
}
