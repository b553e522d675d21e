// `truncation: 'auto'`: the oldest turns of a long conversation are left out.

import { type ChatRequest, promptTokens } from '../chat-completions.js';
import type { ConversationRequest } from '../conversation.js';
import type { Call } from '../endpoint.js';
import { ApiError } from '../errors.js';
import { textModelOf } from '../served-model.js';
import type { ResponseRequest } from './body.js';

/**
 * Leaves out the oldest turns, as few as possible, until the prompt fits. The context keeps room for `max_output_tokens`,
 * but at most for a quarter of its length. The first system messages and the last turn stay.
 */
export async function truncated(
  call: Call<ResponseRequest>,
  request: ConversationRequest,
): Promise<ConversationRequest> {
  if (call.body.truncation !== 'auto') return request;
  const textModel = textModelOf(await call.use(request.model));
  const { context } = textModel.batching;
  const limit = context - Math.min(request.max_tokens ?? context, Math.floor(context / 4));
  const { messages } = request;
  const isSystem = ({ role }: (typeof messages)[number]) => role === 'system' || role === 'developer';
  const begin = messages.findIndex((message) => !isSystem(message));
  const turns = messages.flatMap(({ role }, i) => (role === 'user' && i > begin ? [i] : []));
  const from = (start: number) => ({ ...request, messages: [...messages.slice(0, begin), ...messages.slice(start)] });
  const fits = async (start: number) => {
    try {
      return (await promptTokens({ ...call, body: from(start) as ChatRequest }, textModel)) <= limit;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'context_length_exceeded') return false;
      throw error;
    }
  };
  if (turns.length === 0 || (await fits(begin))) return request;
  // Between the first turn that may be kept and the last, which stays in any case.
  let [low, high] = [0, turns.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await fits(turns[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return from(turns[low] as number);
}
