import { Complaint, type Files, MODEL_FILES } from '../../model.js';

const MAX_BYTES = 512 * 2 ** 20;
/** The largest model of another kind. Its weights go to the device in pieces: a page has four gigabytes in total. */
const MAX_GUEST_BYTES = 1.5 * 2 ** 30;

/** A file with its path: its name, or the path below a dropped folder. */
export interface Given {
  readonly path: string;
  readonly file: File;
}

/**
 * A user's files: a model that every part can show, a model in Hugging Face's format or a GGUF file, a recording, or a
 * picture.
 */
export type Brought =
  | { readonly kind: 'transformer'; readonly name: string; readonly files: Files }
  | { readonly kind: 'guest'; readonly name: string; readonly files: ReadonlyMap<string, File> }
  | { readonly kind: 'recording' | 'picture'; readonly file: File };

/** Identifies the user's files, and names a model by their folder. Throws Complaint for missing or too large files. */
export async function readModel(given: readonly Given[]): Promise<Brought> {
  const [first] = given;
  if (first === undefined) throw new Complaint('There were no files in that.');
  if (given.length === 1 && /\.wav$/i.test(first.path)) return { kind: 'recording', file: first.file };
  if (given.length === 1 && /\.(png|jpe?g|webp|gif|avif)$/i.test(first.path))
    return { kind: 'picture', file: first.file };
  const { folder, files } = withoutFolder(given);
  const name = folder || 'my model';
  const gguf = [...files.keys()].filter((path) => path.endsWith('.gguf'));
  if (!files.has('config.json') && gguf.length > 0) {
    const [path] = gguf as [string];
    if (gguf.length > 1) throw new Complaint(`There are ${gguf.length} GGUF files in that: bring one of them.`);
    return guest(path.replace(/\.gguf$/, ''), new Map([[path, files.get(path) as File]]));
  }
  if (await isOfHub(files)) return guest(name, files);
  return { kind: 'transformer', name, files: await readTransformer(files) };
}

function guest(name: string, files: ReadonlyMap<string, File>): Brought {
  const bytes = [...files.values()].reduce((sum, { size }) => sum + size, 0);
  if (bytes > MAX_GUEST_BYTES) {
    const [size, most] = [bytes, MAX_GUEST_BYTES].map((each) => Math.round(each / 2 ** 20).toLocaleString('en'));
    throw new Complaint(`“${name}” has ${size} MB, too much for a page, which takes ${most} MB.`);
  }
  return { kind: 'guest', name, files };
}

/** True if a config.json has transformers' name of the model's class. */
async function isOfHub(files: ReadonlyMap<string, File>): Promise<boolean> {
  try {
    const config = JSON.parse((await files.get('config.json')?.text()) ?? '{}');
    return typeof config?.model_type === 'string';
  } catch {
    return false; // the reader reports the problem
  }
}

/** The files of a model that was saved by `model.save`. */
async function readTransformer(given: ReadonlyMap<string, File>): Promise<Files> {
  const missing = ['config.json', 'model.safetensors'].filter((name) => !given.has(name));
  if (missing.length > 0) {
    const found = [...given.keys()].slice(0, 3).map((name) => `“${name}”`);
    throw new Complaint(
      `That is not a model: ${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} missing. It has ${found.join(', ')}.`,
    );
  }
  const files: Record<string, Uint8Array> = {};
  for (const name of MODEL_FILES) {
    const file = given.get(name);
    if (file === undefined) continue;
    if (file.size > MAX_BYTES)
      throw new Complaint(`${name} has ${Math.round(file.size / 2 ** 20)} MB, too much for a page.`);
    files[name] = new Uint8Array(await file.arrayBuffer());
  }
  return files;
}

/**
 * Files by their path below their common folder, if there is one. A model's folder may have folders, but no deeper
 * ones.
 */
export function withoutFolder(given: readonly Given[]): { folder: string; files: Map<string, File> } {
  const [first] = given as [Given];
  const top = first.path.slice(0, first.path.indexOf('/') + 1);
  const isShared = top !== '' && given.every(({ path }) => path.startsWith(top));
  const files = new Map<string, File>();
  for (const { path, file } of given) {
    const inner = isShared ? path.slice(top.length) : path;
    if (inner.split('/').length <= 2 && !inner.startsWith('.')) files.set(inner, file);
  }
  return { folder: isShared ? top.slice(0, -1) : '', files };
}

/** The files that were picked. */
export function pickedFiles(input: HTMLInputElement): Given[] {
  return Array.from(input.files ?? [], (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** The files of a drop, those in its folders included. */
export async function droppedFiles(transfer: DataTransfer): Promise<Given[]> {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry());
  // Read before the first await, because the browser then empties the transfer.
  const loose = Array.from(transfer.files, (file) => ({ path: file.name, file }));
  if (!entries.some((entry) => entry?.isDirectory)) return loose;
  return (await Promise.all(entries.map((entry) => (entry ? filesIn(entry, 2) : [])))).flat();
}

/** Returns the files of a folder. `deep`: maximum levels of nested folders. */
async function filesIn(entry: FileSystemEntry, deep: number): Promise<Given[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path: entry.fullPath.slice(1), file }];
  }
  if (deep === 0 || entry.name.startsWith('.')) return [];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    all.push(...some);
  }
  return (await Promise.all(all.map((inner) => filesIn(inner, deep - 1)))).flat();
}
