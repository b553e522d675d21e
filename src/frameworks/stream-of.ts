/**
 * Makes a stream of a generator. Parts are generated when they are read. The generator is stopped when the reader
 * cancels.
 */
export function streamOf<T>(parts: AsyncGenerator<T, void, void>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      async pull(controller) {
        const { value, done } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await parts.return();
      },
    },
    { highWaterMark: 0 },
  );
}
