// A user's own model, in Hugging Face's format or a GGUF file ("guest"). This code is loaded when the first guest is
// opened.
import { createDevice, type Device } from 'simdformer';
import type { Trace, Values } from 'simdformer/inspect';
import { MixtureOfExperts } from 'simdformer/nn';
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
  /** Every value of the pass; null for a model that `trace` refuses. */
  readonly trace: Trace | null;
  /** The input of each layer of the last stack, and the stack's output: [T, dModel] each. */
  readonly states: readonly Values[];
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
    const source = gguf ?? files;
    const model = await loadModel(device, source, { onWarning: () => {} });
    const guest = new Guest(name, device, model, source);
    if (guest.sees && !guest.converses && !guest.outlines && (model.takes('inputIds') || model.decoder !== null))
      throw new Complaint(
        `“${name}” has images and text. The page shows models that have one of them, and those that converse about pictures, with preprocessor_config.json and tokenizer.json.`,
      );
    if (guest.hears && !guest.compares && !guest.hasCtc && !guest.transduces && model.headKind !== 'language-model')
      throw new Complaint(
        `“${name}” is a model of sounds. The page shows Whisper, Moonshine, CLAP, and models with CTC or a transducer.`,
      );
    return guest;
  } catch (error) {
    device.dispose();
    throw error;
  }
}

let opened = 0;

export class Guest {
  /** Differs from those of all other guests, so that views of one do not keep what was chosen for another. */
  readonly key = opened++;
  readonly hears: boolean;
  readonly sees: boolean;
  readonly #turns = { last: Promise.resolve() as Promise<unknown> };

  constructor(
    readonly name: string,
    readonly device: Device,
    readonly model: LoadedModel,
    /** The files, to load the model again in another format. */
    readonly source: File | ReadonlyMap<string, File>,
  ) {
    this.hears = model.takes('inputFeatures') || model.takes('inputValues');
    this.sees = model.takes('pixelValues');
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

  /** True for a model that reads pictures among words, with its files for both. */
  get converses(): boolean {
    const { processor, tokenizer } = this.model;
    return this.sees && tokenizer !== null && processor !== null && 'mark' in processor;
  }

  /** True if the model's predictions are tokens. */
  get predictsTokens(): boolean {
    return this.model.headKind === 'language-model' || this.model.headKind === 'masked-language-model';
  }

  /** True for a model of sound that gives each frame a token. */
  get hasCtc(): boolean {
    return this.model.headKind === 'ctc';
  }

  /** True for a model of sound that writes tokens while it moves over the frames. */
  get transduces(): boolean {
    return this.model.headKind === 'transducer';
  }

  /** True for a model that compares sounds with texts. */
  get compares(): boolean {
    return this.model.takes('inputFeatures') && this.model.takes('inputIds') && this.model.decoder === null;
  }

  /** True for a model that outlines what points in a picture mark. */
  get outlines(): boolean {
    return this.model.takes('inputPoints');
  }

  /** True for a model that speaks texts. */
  get speaks(): boolean {
    return 'speak' in this.model;
  }

  /** True for a decoder without an encoder, which continues texts. */
  get continues(): boolean {
    return this.model.headKind === 'language-model' && !this.model.encoder;
  }

  /** True if the layers of a decoder can be run from any layer on. */
  get canPatch(): boolean {
    const { decoder } = this.model;
    return this.continues && decoder?.entry === null && !decoder.layers.some(({ selfAttn }) => selfAttn.keySource);
  }

  /** True if layers have mixtures of experts. */
  get hasExperts(): boolean {
    return this.model.modules().some((module) => module instanceof MixtureOfExperts);
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

  /** Name of a prediction: a token, or a label of models that classify tokens. */
  labelOf(id: number): string {
    const { headKind, config } = this.model;
    if (this.predictsTokens) return this.nameOf(id);
    if (headKind === 'question-answering') return ['begins', 'ends'][id] as string;
    return (config.id2label as Record<string, string> | undefined)?.[id] ?? `LABEL_${id}`;
  }

  textOf(ids: readonly number[]): string {
    return this.model.tokenizer?.decode(ids) ?? ids.join(' ');
  }

  dispose(): void {
    this.model.dispose();
    this.device.dispose();
  }
}
