import type { Files } from './model.js';

/** Lets the browser save files, one after the other. */
export function saveFiles(files: Files): void {
  for (const [name, bytes] of Object.entries(files)) {
    const url = URL.createObjectURL(new Blob([bytes as BlobPart]));
    const link = document.createElement('a');
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // after the browser has certainly read it
  }
}
