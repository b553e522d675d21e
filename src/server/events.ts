// Server-Sent Events.

import { apiErrorOf } from './errors.js';

/** A response with an event for each object, then `[DONE]`. `end` is called once, with the error if there is one. */
export function eventResponse(events: AsyncGenerator<object, void, void>, end: (error?: unknown) => void): Response {
  const encoder = new TextEncoder();
  const line = (data: string) => encoder.encode(`data: ${data}\n\n`);
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
          controller.enqueue(line(JSON.stringify(value)));
          return;
        }
        controller.enqueue(line('[DONE]'));
        over();
      } catch (error) {
        // The status is sent already: the error becomes an event, as at OpenAI.
        if (!isOver) controller.enqueue(line(JSON.stringify(apiErrorOf(error).body)));
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
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no', // proxies such as nginx forward events at once
    },
  });
}
