import { batch, effect, type Signal, signal } from '@preact/signals';
import { createDevice, type Device } from 'simdformer';
import { Complaint, type Files, fetchModel, type Model, openModel } from './model.js';
import type { Guest } from './parts/bring/guest/guest.js';
import { type Decoding, type Pronunciation, pronounce } from './pronounce.js';

/**
 * State that the parts of the page share: the model, the word, and the model's result for it. Parts read the signals
 * and compute with `run`, one after the other.
 */
export class Session {
  readonly model: Signal<Model | null> = signal(null);
  readonly word = signal('transformer');
  readonly decoding: Signal<Decoding> = signal({ kind: 'greedy' });
  /** Tokens that the answer for a word is made to begin with. */
  readonly forced: Signal<{ readonly word: string; readonly tokens: readonly number[] } | null> = signal(null);
  /**
   * The answer of `model` to `word` with `decoding`; null until there is one, and for words that the model cannot
   * read.
   */
  readonly pronunciation: Signal<Pronunciation | null> = signal(null);
  /** True until the current word is answered. */
  readonly busy = signal(true);
  /** The reason why the word has no answer; null if it has one. */
  readonly complaint: Signal<string | null> = signal(null);
  /** A user's model of another kind, which only one part shows. */
  readonly guest: Signal<Guest | null> = signal(null);
  /** Another error, shown until the person dismisses it. */
  readonly error: Signal<string | null> = signal(null);

  /** The device runs in a worker, so tensors are read by `await x.data()`. */
  #device: Device | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #asked = new AbortController();

  /** Opens the device and the model below `url`. */
  async start(url: string): Promise<void> {
    effect(() => {
      const { model, word, decoding, forced } = this;
      const prefix = forced.value?.word === word.value ? forced.value.tokens : [];
      this.#pronounce(model.value, word.value, decoding.value, prefix);
    });
    const files = fetchModel(url);
    files.catch(() => {}); // awaited below, once there is a device
    try {
      // One thread, because starting a pool of threads would take longer than answering a word.
      this.#device = await createDevice({ backend: 'wasm', worker: true, threads: 1 });
      await this.open('g2p-en', await files);
    } catch (error) {
      this.report(error);
      batch(() => {
        this.complaint.value = 'There is no model.';
        this.busy.value = false;
      });
    }
  }

  /** Replaces the model by a saved one. If the files are invalid, the old model stays and the error is thrown. */
  async open(name: string, files: Files): Promise<void> {
    const device = this.#device;
    if (device === null) throw new Complaint('There is no device yet.');
    await this.#inTurn(async () => {
      const model = await openModel(device, name, files);
      const before = this.model.value;
      this.#asked.abort();
      this.pronunciation.value = null;
      this.forced.value = null;
      // A single word is a poor example for a translation model.
      if (model.readsText && !this.word.value.includes(' ')) this.word.value = 'A man is riding a bicycle.';
      this.model.value = model;
      before?.transformer.dispose();
    });
  }

  /** Sets the guest, or removes it with null. */
  welcome(guest: Guest | null): void {
    const before = this.guest.value;
    this.guest.value = guest;
    if (before !== guest) void before?.run(async () => before.dispose());
  }

  /**
   * Runs `task` after earlier tasks, so that two never use a model at the same time. Passes the model that is current
   * then. Rejects with the errors of `task`.
   */
  run<T>(task: (model: Model) => Promise<T>): Promise<T> {
    return this.#inTurn(() => {
      const model = this.model.value;
      if (model === null) throw new Complaint('There is no model yet.');
      return task(model);
    });
  }

  /** Shows an error, unless it is an abort. */
  report(error: unknown): void {
    if (error instanceof Error && error.name === 'AbortError') return;
    this.error.value = error instanceof Error ? error.message : String(error);
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(task);
    this.#turn = mine.catch(() => {});
    return mine;
  }

  #pronounce(model: Model | null, word: string, decoding: Decoding, forced: readonly number[]): void {
    this.#asked.abort();
    if (model === null) return;
    this.busy.value = true;
    const asked = new AbortController();
    this.#asked = asked;
    const { signal } = asked;
    const answer = (pronunciation: Pronunciation | null, complaint: string | null) =>
      batch(() => {
        this.pronunciation.value = pronunciation;
        this.complaint.value = complaint;
        this.busy.value = false;
        performance.mark('pronounced');
      });
    this.run(async (current) => {
      if (signal.aborted || current !== model) return;
      const pronunciation = await pronounce(model, word, decoding, forced, signal);
      if (!signal.aborted) answer(pronunciation, null);
    }).catch((error) => {
      if (signal.aborted) return;
      if (!(error instanceof Complaint)) this.report(error);
      answer(null, error instanceof Complaint ? error.message : 'The model has no answer.');
    });
  }
}
