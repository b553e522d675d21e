import { isNode } from '../backend/node.js';

/** Members that are newer than the language version of this build. */
interface Resizable extends ArrayBuffer {
  resize?(length: number): void;
}
type ResizableKind = new (length: number, options: { maxByteLength: number }) => Resizable;

/** One end of a channel whose other end is closed. */
let nowhere: MessagePort | undefined;

/**
 * Allocates bytes that `giveBack` frees soon. In Node they come from the system itself: glibc's malloc reacts to freed
 * megabytes by keeping as much memory for each thread.
 */
export function passingBytes(length: number): Uint8Array {
  return new Uint8Array(
    isNode ? new (ArrayBuffer as ResizableKind)(length, { maxByteLength: length }) : new ArrayBuffer(length),
  );
}

/**
 * Frees bytes that nobody will read again. They would otherwise stay until tens of megabytes are collected at once. In
 * a page, a message to a closed channel takes the memory along and drops it; `ArrayBuffer.transfer` leaves it to the
 * garbage collector in Chromium. Does nothing for a part of a buffer and, in Node, for memory from elsewhere.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (isNode) {
    const { maxByteLength, resizable } = buffer as { maxByteLength?: number; resizable?: boolean };
    if (resizable && maxByteLength === byteLength) (buffer as Resizable).resize?.(0);
    return;
  }
  if (byteLength === 0 || byteLength !== buffer.byteLength) return;
  nowhere ??= closedPort();
  nowhere.postMessage(null, [buffer as ArrayBuffer]);
}

function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  return port1;
}
