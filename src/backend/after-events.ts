/**
 * Calls `fn` once the events that wait already have been handled. Timers would wait for milliseconds, and a second where
 * nobody sees the page.
 */
export const afterEvents: (fn: () => void) => unknown =
  typeof setImmediate === 'function'
    ? setImmediate
    : typeof MessageChannel === 'function'
      ? byMessage
      : (fn) => setTimeout(fn);

function byMessage(fn: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    fn();
  };
  port2.postMessage(null);
}
