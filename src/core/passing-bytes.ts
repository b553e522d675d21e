import { isNode } from '../backend/node.js';

/** Parts of the language that are younger than what this is compiled for. */
interface Resizable extends ArrayBuffer {
  resize?(length: number): void;
}
type ResizableKind = new (length: number, options: { maxByteLength: number }) => Resizable;

/** The end of a channel whose other end is closed. */
let nowhere: MessagePort | undefined;

/**
 * Bytes that `giveBack` frees soon. In Node they come from the system itself: what malloc is given back by the megabyte it takes as a
 * sign to keep as much for each thread from then on.
 */
export function passingBytes(length: number): Uint8Array {
  return new Uint8Array(
    isNode ? new (ArrayBuffer as ResizableKind)(length, { maxByteLength: length }) : new ArrayBuffer(length),
  );
}

/**
 * Frees the memory of bytes that nobody else has, or will read again: what passes by would otherwise stay until tens of megabytes are
 * collected at once. In a page a message takes it along, and is dropped where nobody receives it, as `ArrayBuffer.transfer` leaves
 * it to be collected in Chromium. Nothing happens to bytes that are part of a buffer, nor in Node to those of others.
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
