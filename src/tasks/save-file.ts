// Writes files of results: to the disk in Node, as a download in pages.

import { isNode } from '../backend/node.js';
import { ArgumentError } from '../core/errors.js';

/**
 * Writes a file in Node, or offers it as a download in a page. Rejects with ArgumentError in workers of pages, and with
 * the system's error.
 */
export async function saveFile(path: string, file: Uint8Array): Promise<void> {
  if (isNode) {
    const { writeAtomically } = await import('../io/atomic-write.js');
    return writeAtomically(new Map([[path, [file]]]));
  }
  if (typeof document === 'undefined')
    throw new ArgumentError('save: a worker has no downloads: send toBlob() to its page');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([file as Uint8Array<ArrayBuffer>]));
  link.download = path;
  link.click();
  URL.revokeObjectURL(link.href);
}
