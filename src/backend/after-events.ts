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

/** Ports of messages on their way. A reference keeps a browser from collecting a channel before its message arrives. */
const ports = new Set<MessagePort>();

function byMessage(fn: () => void): void {
  const { port1, port2 } = new MessageChannel();
  ports.add(port1);
  port1.onmessage = () => {
    ports.delete(port1);
    port1.close();
    fn();
  };
  port2.postMessage(null);
}
