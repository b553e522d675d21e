// Reads GGUF files in parts: model-00001-of-00003.gguf and so on, as llama-gguf-split writes them.

import { FormatError } from '../../core/errors.js';
import { quote } from '../../io/dtypes.js';
import type { OpenFile } from '../../io/file.js';
import { type Gguf, type GgufTensor, readGguf } from '../../io/gguf.js';

const PART = /-(\d{5})-of-(\d{5})\.gguf$/;

/** Returns the names of all parts, if this is the name of a part; null for other names. */
export function partNames(name: string): string[] | null {
  const count = Number(PART.exec(name)?.[2] ?? 0);
  if (count < 2) return null;
  const number = (value: number) => String(value).padStart(5, '0');
  return Array.from({ length: count }, (_, i) => name.replace(PART, `-${number(i + 1)}-of-${number(count)}.gguf`));
}

/** Joins the open parts to one file. */
function joined(files: readonly OpenFile[]): OpenFile {
  const starts = [0];
  for (const { size } of files) starts.push((starts.at(-1) as number) + size);
  // A tensor lies in one part.
  const partAt = (position: number) => {
    const part = starts.findLastIndex((start, i) => i < files.length && start <= position);
    return { file: files[part] as OpenFile, offset: position - (starts[part] as number) };
  };
  return {
    size: starts.at(-1) as number,
    read(position, into) {
      const { file, offset } = partAt(position);
      file.read(offset, into);
    },
    async readAsync(position, into) {
      const { file, offset } = partAt(position);
      await (file.readAsync ? file.readAsync(offset, into) : file.read(offset, into));
    },
    close() {
      for (const file of files) file.close();
    },
  };
}

export interface OpenGguf {
  readonly gguf: Gguf;
  readonly file: OpenFile;
}

/**
 * Reads the header of a file, or of all of its parts. The first part has the metadata. Throws FormatError, and closes
 * nothing, for parts that do not belong together.
 */
export async function readParts(files: readonly OpenFile[]): Promise<OpenGguf> {
  const headers: Gguf[] = [];
  for (const file of files) headers.push(await readGguf(file));
  const [first] = headers as [Gguf];
  const count = numberIn(first, 'split.count') ?? 1;
  if (count !== files.length)
    throw new FormatError(
      count > 1
        ? `it is one of ${count} parts, but ${files.length} were given: keep the parts in one folder, with names like model-00001-of-${String(count).padStart(5, '0')}.gguf`
        : `it is not part of a file, but its name says that there are ${files.length}`,
    );
  if (files.length === 1) return { gguf: first, file: files[0] as OpenFile };
  const tensors = new Map<string, GgufTensor>();
  let start = 0;
  for (const [i, header] of headers.entries()) {
    const [number, parts] = [numberIn(header, 'split.no'), numberIn(header, 'split.count')];
    if (number !== i || parts !== count)
      throw new FormatError(
        `part ${i + 1} has the number ${(number ?? -1) + 1} of ${parts}, expected ${i + 1} of ${count}`,
      );
    for (const [name, tensor] of header.tensors) {
      if (tensors.has(name)) throw new FormatError(`tensor ${quote(name)} is in several parts`);
      tensors.set(name, { ...tensor, position: tensor.position + start });
    }
    start += (files[i] as OpenFile).size;
  }
  const expected = numberIn(first, 'split.tensors.count');
  if (expected !== undefined && expected !== tensors.size)
    throw new FormatError(`its parts have ${tensors.size} tensors, expected ${expected}`);
  return { gguf: { ...first, tensors }, file: joined(files) };
}

function numberIn({ metadata }: Gguf, name: string): number | undefined {
  const value = metadata.get(name);
  if (value === undefined || typeof value === 'number') return value;
  throw new FormatError(`metadata ${name} is not a number`);
}
