// Brings models of Hugging Face's to the explorer's page, and reads what it says about them.
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { type LoadModelOptions, loadModel } from '../../src/pretrained/index.js';
import { Explorer, type ExplorerPage } from './explorer.js';

export interface Payload {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

export const payload = (name: string, buffer: Buffer | string): Payload => ({
  name,
  mimeType: 'application/octet-stream',
  buffer: Buffer.from(buffer),
});

/** The files of a folder that a person would give. */
export async function filesOf(folder: string): Promise<Payload[]> {
  const names = (await readdir(folder)).filter(
    (name) => /\.(json|safetensors)$/.test(name) && !/^reference/.test(name),
  );
  return Promise.all(names.map(async (name) => payload(name, await readFile(`${folder}/${name}`))));
}

/** A tokenizer.json for models with a vocabulary of 97: three special tokens, and the characters from space to }. */
export const CHARACTERS = JSON.stringify({
  added_tokens: ['<pad>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true })),
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    vocab: Object.fromEntries([
      ...['<pad>', '<s>', '</s>'].map((name, id) => [name, id]),
      ...Array.from({ length: 94 }, (_, i) => [i === 0 ? 'Ġ' : String.fromCharCode(32 + i), 3 + i]),
    ]),
    merges: [],
  },
});

/** The part of the page that shows a model that was brought. */
export class GuestPage {
  constructor(public brought: ExplorerPage) {}

  get page() {
    return this.brought.page;
  }

  get field() {
    return this.page.locator('#guest-text');
  }

  give(files: readonly Payload[]): Promise<void> {
    return this.page.locator('input[type=file][multiple]').setInputFiles(files as Payload[]);
  }

  /** Until the page says so. */
  news(text: string | RegExp): Promise<void> {
    return this.page.getByRole('status').getByText(text).first().waitFor();
  }

  async bring(files: readonly Payload[]): Promise<void> {
    await this.give(files);
    await this.news('is below');
    await this.page.locator('.guest').waitFor();
  }

  async said(): Promise<string> {
    const output = this.page.locator('#guest-said');
    await this.page.waitForTimeout(250); // it waits for people to have typed
    await this.page.locator('#guest-said[aria-busy=false]').waitFor();
    return (await output.textContent()) ?? '';
  }

  /** Types a text and waits until the model has read it. */
  async read(text: string): Promise<string> {
    await this.field.fill(text);
    return this.said();
  }

  /** Opens an experiment, and returns its summary. */
  async experiment(title: string): Promise<string> {
    await this.page.getByRole('group', { name: 'Experiments' }).getByRole('button', { name: title }).click();
    return this.answer();
  }

  /** The summary of the open experiment, when it is computed. */
  async answer(): Promise<string> {
    const line = this.page.locator('.experiments .answer[aria-busy=false]:not(:empty)');
    await line.waitFor();
    return (await line.textContent()) ?? '';
  }

  /** Descriptions of a picture's cells, row by row. */
  async cells(label: string | RegExp, rows: number, columns: number): Promise<string[][]> {
    const grid = this.page.getByRole('grid', { name: label });
    await grid.focus();
    await grid.press('Escape');
    const all: string[][] = [];
    for (let row = 0; row < rows; row++) {
      const one: string[] = [];
      for (let column = 0; column < columns; column++) {
        if (column > 0) await grid.press('ArrowRight');
        one.push((await grid.getByRole('gridcell').textContent()) ?? '');
      }
      all.push(one);
      for (let column = 1; column < columns; column++) await grid.press('ArrowLeft');
      if (row + 1 < rows) await grid.press('ArrowDown');
    }
    return all;
  }
}

/** A page that opens before the tests of a file and closes after them, and a device in Node for the expected values. */
class OpenedPage extends GuestPage {
  explorer!: Explorer;
  device!: Device;

  constructor() {
    super(undefined as never);
    beforeAll(async () => {
      this.explorer = await Explorer.start();
      this.brought = await this.explorer.open('bring');
      this.device = await createDevice({ threads: 2 });
    });
    afterAll(() => this.explorer?.close());
  }

  /** Loads a model in Node. */
  load(folder: string, options: LoadModelOptions = {}) {
    return loadModel(this.device, folder, { onWarning: () => {}, ...options });
  }
}

/** Opens the page for models for the tests of a file. */
export const openGuestPage = (): OpenedPage => new OpenedPage();

/** A WAV file of 16-bit samples at 16 kHz. */
export function wavOf(samples: Float32Array): Buffer {
  const file = Buffer.alloc(44 + 2 * samples.length);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + 2 * samples.length, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(16000, 24);
  file.writeUInt32LE(32000, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(2 * samples.length, 40);
  for (const [i, sample] of samples.entries())
    file.writeInt16LE(Math.round(32768 * Math.max(-1, Math.min(0.9999, sample))), 44 + 2 * i);
  return file;
}
