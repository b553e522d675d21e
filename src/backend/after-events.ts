/**
 * Calls `fn` after the events that are already pending. A timer would delay it by milliseconds, and by a second in a
 * hidden page.
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
