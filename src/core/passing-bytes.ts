import { isNode } from '../backend/node.js';

/** Members that are newer than the language version of this build. */
interface Resizable extends ArrayBuffer {
  resize?(length: number): void;
}
type ResizableKind = new (length: number, options: { maxByteLength: number }) => Resizable;

/** One end of a channel whose other end is closed. */
let nowhere: MessagePort | undefined;

/**
 * Allocates bytes that `freeBytes` will free soon. In Node they come directly from the system, because glibc's malloc
 * keeps freed megabytes in each thread.
 */
export function passingBytes(length: number): Uint8Array {
  return new Uint8Array(
    isNode ? new (ArrayBuffer as ResizableKind)(length, { maxByteLength: length }) : new ArrayBuffer(length),
  );
}

/**
 * Frees bytes at once that nobody will read again; the garbage collector would wait for tens of megabytes. In a page,
 * the buffer is transferred to a closed channel, which drops it. (`ArrayBuffer.transfer` would leave it to the garbage
 * collector in Chromium.) Does nothing for a part of a buffer or, in Node, for memory that `passingBytes` did not
 * allocate.
 */
export function freeBytes({ buffer, byteLength }: Uint8Array): void {
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
