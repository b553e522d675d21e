// A user's own model, in Hugging Face's format or a GGUF file ("guest"). This code is loaded when the first guest is
// opened.
import { createDevice, type Device } from 'simdformer';
import type { Trace } from 'simdformer/inspect';
import { type LoadedModel, loadModel } from 'simdformer/pretrained';
import { Complaint } from '../../../model.js';

/** Maximum number of tokens in the pictures. */
export const MAX_TOKENS = 48;
/** Maximum number of generated tokens. */
export const MAX_WRITTEN = 32;

export interface Token {
  readonly id: number;
  /** The text that the page shows. */
  readonly name: string;
}

/** A token or a label, and its probability. */
export interface Guess {
  readonly name: string;
  readonly probability: number;
}

/** For each layer and token, the likeliest prediction if the model ended after that layer. */
export type Lens = readonly (readonly Guess[])[];

/** Results of a model for a text. */
export interface Reading {
  readonly guest: Guest;
  /** Tokens that the encoder and the decoder read; null for a side that the model does not have. */
  readonly source: readonly Token[] | null;
  readonly target: readonly Token[] | null;
  /** Number of the text's tokens that were cut off. */
  readonly left: number;
  readonly trace: Trace;
  /**
   * The likeliest predictions at a token, best first: the next word, the hidden word or a label, as the model's head
   * has it.
   */
  readonly guesses: (token: number) => readonly Guess[];
  /** Predictions for the whole text, by models that classify texts. */
  readonly labels: readonly Guess[] | null;
  readonly lens: Lens | null;
  /** The text that an encoder–decoder wrote. */
  readonly written: string | null;
}

/** Opens a guest on a separate device, so that its failures do not affect the page. */
export async function openGuest(name: string, files: ReadonlyMap<string, File>): Promise<Guest> {
  const device = await createDevice({ backend: 'wasm', worker: true });
  try {
    const gguf = files.size === 1 ? [...files.values()].find((file) => file.name.endsWith('.gguf')) : undefined;
    const model = await loadModel(device, gguf ?? files, { onWarning: () => {} });
    if (model.takes('pixelValues')) {
      throw new Complaint(`“${name}” looks at images. The page shows models that read text, and Whisper.`);
    }
    return new Guest(name, device, model);
  } catch (error) {
    device.dispose();
    throw error;
  }
}

export class Guest {
  readonly hears: boolean;
  readonly #turns = { last: Promise.resolve() as Promise<unknown> };

  constructor(
    readonly name: string,
    readonly device: Device,
    readonly model: LoadedModel,
  ) {
    this.hears = model.takes('inputFeatures');
  }

  /** Runs `task` after earlier tasks. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const mine = this.#turns.last.then(task);
    this.#turns.last = mine.catch(() => {});
    return mine;
  }

  get type(): string {
    return String(this.model.config.model_type);
  }

  get parameters(): number {
    return this.model.parameters().reduce((sum, { size }) => sum + size, 0);
  }

  /** The mask token, if the model predicts masked words; else null. */
  get mask(): Token | null {
    const { model } = this;
    if (model.headKind !== 'masked-language-model' || model.tokenizer === null) return null;
    for (const name of ['[MASK]', '<mask>']) {
      const id = model.tokenizer.tokenToId(name);
      if (id !== undefined) return { id, name };
    }
    return null;
  }

  /** An initial text. */
  get example(): string {
    const { model } = this;
    if (model.tokenizer === null) return '5 9 17 4 6';
    if (this.mask) return `The capital of France is ${this.mask.name}.`;
    return model.decoder && !model.encoder ? 'Once upon a time there was a little' : 'The cat sat on the mat.';
  }

  tokens(ids: readonly number[]): Token[] {
    return ids.map((id) => ({ id, name: this.nameOf(id) }));
  }

  nameOf(id: number): string {
    const { tokenizer } = this.model;
    if (tokenizer === null) return String(id);
    const text = tokenizer.decode([id], { skipSpecial: false });
    const shown = text.includes('\ufffd') ? (tokenizer.idToToken(id) ?? text) : text;
    const seen = [...shown.trim()].filter((character) => !/\p{C}/u.test(character)).join('');
    return (
      seen ||
      JSON.stringify(tokenizer.idToToken(id) || text)
        .slice(1, -1)
        .replaceAll(' ', '␣') ||
      `#${id}`
    );
  }

  textOf(ids: readonly number[]): string {
    return this.model.tokenizer?.decode(ids) ?? ids.join(' ');
  }

  dispose(): void {
    this.model.dispose();
    this.device.dispose();
  }
}
