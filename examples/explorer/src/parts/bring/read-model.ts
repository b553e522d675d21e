import { Complaint, type Files, MODEL_FILES } from '../../model.js';

const MOST_BYTES = 512 * 2 ** 20;

/** Picks a model's files from those that were given, and names it by their folder. Throws Complaint for what is missing. */
export async function readModel(given: readonly File[]): Promise<{ name: string; files: Files }> {
  if (given.length === 0) throw new Complaint('There were no files in that.');
  const byName = new Map(given.map((file) => [file.name, file]));
  const missing = ['config.json', 'model.safetensors'].filter((name) => !byName.has(name));
  if (missing.length > 0) {
    const found = given
      .slice(0, 3)
      .map(({ name }) => `“${name}”`)
      .join(', ');
    throw new Complaint(
      `That is no model: ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing. It has ${found}.`,
    );
  }
  const files: Record<string, Uint8Array> = {};
  for (const name of MODEL_FILES) {
    const file = byName.get(name);
    if (file === undefined) continue;
    if (file.size > MOST_BYTES)
      throw new Complaint(`${name} has ${Math.round(file.size / 2 ** 20)} MB, too much for a page.`);
    files[name] = new Uint8Array(await file.arrayBuffer());
  }
  const folder = byName.get('config.json')?.webkitRelativePath.split('/').at(-2);
  return { name: folder || 'my model', files };
}

/** The files of a drop, those in its folders included. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry());
  const loose = Array.from(transfer.files); // before the first await: the transfer is emptied then
  if (!entries.some((entry) => entry?.isDirectory)) return loose;
  return (await Promise.all(entries.map((entry) => (entry ? filesIn(entry) : [])))).flat();
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    all.push(...some);
  }
  // A model is a folder of files: what lies deeper is none of it.
  return (await Promise.all(all.filter(({ isFile }) => isFile).map(filesIn))).flat();
}
