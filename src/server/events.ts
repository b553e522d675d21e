// Streams of JSON objects: Server-Sent Events, or a line for each.

import type { Dialect } from './dialect.js';
import { apiErrorOf } from './errors.js';

/** Returns a response with a frame for each object. `end` is called once, with the error if there is one. */
export function streamResponse(
  events: AsyncGenerator<object, void, void>,
  { frame, lastFrame, mediaType, errorEvent }: Dialect,
  end: (error?: unknown) => void,
): Response {
  const encoder = new TextEncoder();
  let isOver = false;
  const over = (error?: unknown) => {
    if (isOver) return;
    isOver = true;
    end(error);
  };
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { value, done } = await events.next();
        if (!done) {
          controller.enqueue(encoder.encode(frame(value)));
          return;
        }
        controller.enqueue(encoder.encode(lastFrame));
        over();
      } catch (error) {
        // The status was already sent, so the error becomes an event, as at OpenAI.
        if (!isOver) controller.enqueue(encoder.encode(frame(errorEvent(apiErrorOf(error)))));
        over(error);
      }
      controller.close();
    },
    async cancel() {
      over(new DOMException('The client has left', 'AbortError'));
      await events.return();
    },
  });
  return new Response(body, {
    headers: {
      'content-type': `${mediaType}; charset=utf-8`,
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no', // proxies such as nginx forward events at once
    },
  });
}
