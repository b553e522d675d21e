// What commands share.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { createDevice } from '../core/create-device.js';
import type { Device } from '../core/device.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import { Transformer } from '../models/transformer.js';
import { decodeText } from './data.js';

/** Models that come with the package. */
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));

/** The device that the command's options ask for. */
export function openDevice(command: Command): Promise<Device> {
  const { threads, isa } = command.optsWithGlobals<{ threads?: number; isa?: string }>();
  return createDevice({ threads, isa });
}

/** A model by its folder, or by the name of one that comes with the package. */
export async function loadModel(device: Device, name: string): Promise<Transformer> {
  const shipped = join(MODELS, name);
  const folder = existsSync(name) || !existsSync(join(shipped, 'config.json')) ? name : shipped;
  if (!existsSync(folder)) throw new ArgumentError(`there is no model '${name}': expected the folder of a saved model`);
  try {
    return await Transformer.load(device, folder);
  } catch (cause) {
    if (!(cause instanceof SimdformerError)) throw cause;
    throw new FormatError(`the model '${name}' cannot be loaded: ${cause.message}`, { cause });
  }
}

/** A text that somebody gave. */
export interface GivenText {
  /** What it is called in errors. */
  readonly name: string;
  /** Of standard input. */
  readonly isLine: boolean;
  /** Throws ArgumentError if it is no text. */
  read(): string;
}

/** Lines of standard input that are worked on together. */
const TOGETHER = 256;

/**
 * The texts given as arguments, or the lines of standard input as they come: 256 at a time, from a terminal each by
 * itself. Empty lines are left out.
 */
export async function* givenTexts(texts: readonly string[]): AsyncGenerator<readonly GivenText[]> {
  if (texts.length > 0) {
    const name = (i: number) => (texts.length > 1 ? `text ${i + 1}` : 'the text');
    return yield texts.map((text, i) => ({ name: name(i), isLine: false, read: () => text }));
  }
  const { isTTY } = process.stdin;
  if (isTTY) console.error('Reading lines; Ctrl-D ends them.');
  let number = 0;
  let filled = 0;
  let together: GivenText[] = [];
  for await (const bytes of linesOf(process.stdin)) {
    const name = `line ${++number}`;
    if (bytes.length === 0) continue;
    filled++;
    together.push({ name, isLine: true, read: () => decodeText('it', bytes) });
    if (together.length < (isTTY ? 1 : TOGETHER)) continue;
    yield together;
    together = [];
  }
  if (filled === 0) throw new ArgumentError('there is no text: give it as arguments or on standard input');
  if (together.length > 0) yield together;
}

async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const [lineFeed, carriageReturn] = [10, 13];
  let begun: Buffer[] = [];
  const line = (last: Buffer) => {
    const bytes = Buffer.concat([...begun, last]);
    begun = [];
    return bytes.at(-1) === carriageReturn ? bytes.subarray(0, -1) : bytes;
  };
  for await (const chunk of input) {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      yield line(chunk.subarray(from, end));
      from = end + 1;
    }
    begun.push(chunk.subarray(from));
  }
  yield line(Buffer.alloc(0));
}

export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}

/** Whether standard output shows the 256 colours of heat maps: a terminal, unless NO_COLOR or TERM say otherwise. */
export function showsColors(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors(256);
}

/** A token that can be seen where it labels a row or column. */
export function visible(token: string): string {
  return token.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '␣');
}
