// Information on a GGUF file, from its header only.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError } from '../core/errors.js';
import { openFileOf } from '../io/file.js';
import { readGguf } from '../io/gguf.js';
import { GgufTexts } from '../io/gguf-values.js';
import { type CheckedReport, line, mebibytes, reportLines } from './checked-model.js';
import { printJson } from './common.js';

/** The GGUF file at a path, or the only one in a folder without config.json; null if there is none. */
export function ggufAt(path: string): string | null {
  if (!existsSync(path)) return null;
  if (!statSync(path).isDirectory()) return path.endsWith('.gguf') ? path : null;
  const names = readdirSync(path);
  const files = names.includes('config.json') ? [] : names.filter((name) => name.endsWith('.gguf'));
  return files.length === 1 ? join(path, files[0] as string) : null;
}

/**
 * Prints architecture, sizes of weights per type, tokenizer, chat template, and if the model loads. Throws FormatError.
 */
export async function printGguf(path: string, report: CheckedReport, isJson: boolean): Promise<void> {
  const file = await openFileOf(path, '');
  if (file === null) throw new FormatError(`${path} does not exist any more`);
  try {
    const { version, metadata, tensors } = await readGguf(file);
    const types = new Map<string, { tensors: number; elements: number; bytes: number }>();
    let elements = 0;
    for (const { type, shape, byteLength } of tensors.values()) {
      const size = shape.reduce((product, n) => product * n, 1);
      elements += size;
      const sum = types.get(type) ?? { tensors: 0, elements: 0, bytes: 0 };
      types.set(type, { tensors: sum.tensors + 1, elements: sum.elements + size, bytes: sum.bytes + byteLength });
    }
    const plain = [...metadata]
      .filter(([, value]) => typeof value !== 'object')
      .map(([k, v]) => [k, jsonOf(v)] as const);
    const tokens = metadata.get('tokenizer.ggml.tokens');
    const vocabulary = tokens instanceof GgufTexts ? tokens.length : 0;
    const summary = { version, bytes: file.size, parameters: elements, types: Object.fromEntries(types), vocabulary };
    if (isJson) {
      const { types: _, bytes: __, ...others } = report;
      return printJson({ ...others, ...summary, metadata: Object.fromEntries(plain) });
    }
    const of = (name: string) => String(metadata.get(name) ?? '–');
    const architecture = of('general.architecture');
    const architectureValue = (name: string) => of(`${architecture}.${name}`);
    console.log(`GGUF ${version}           ${architecture}, ${of('general.name')}`);
    console.log(
      `sizes            ${architectureValue('block_count')} layers of ${architectureValue('embedding_length')} features, ${architectureValue('attention.head_count')} heads, feed-forward ${architectureValue('feed_forward_length')}, context ${architectureValue('context_length')}`,
    );
    console.log(line('numbers', `${elements.toLocaleString('en')} in ${mebibytes(file.size)}`));
    for (const [type, sum] of types)
      console.log(
        `${type.padEnd(16)} ${sum.tensors} ${sum.tensors === 1 ? 'tensor' : 'tensors'}, ${sum.elements.toLocaleString('en')} numbers, ${mebibytes(sum.bytes)}`,
      );
    const { model, pre } = { model: of('tokenizer.ggml.model'), pre: of('tokenizer.ggml.pre') };
    console.log(`tokenizer        ${model}, cut as ${pre}, ${vocabulary.toLocaleString('en')} tokens`);
    const template = metadata.get('tokenizer.chat_template');
    for (const text of reportLines(report)) console.log(text);
    console.log(typeof template === 'string' ? `chat template\n${template}` : 'chat template    none');
  } finally {
    file.close();
  }
}

/** JSON has no 64-bit integers. */
const jsonOf = (value: unknown) => (typeof value === 'bigint' ? String(value) : value);
