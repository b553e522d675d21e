// Images in prompts. The model reads each image once; the result is kept for later prompts with the same image.

import { afterEvents } from '../backend/after-events.js';
import { describeValue, isObject } from '../core/check.js';
import { ArgumentError, SimdformerError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import { atIds, type ReadImages } from '../models/image-tokens.js';
import type { ModelInputs } from '../models/inputs.js';
import { PromptModel } from '../models/prompt-model.js';
import type { ImageBytes } from '../pretrained/processors/image.js';
import { ImageTextProcessor, type ReadyImage } from '../pretrained/processors/image-text/image-text-processor.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { ChatMessage } from '../tokenizers/index.js';
import { decoded, type ImageInput, isImage } from './image-inputs.js';

/** Number of images that stay in memory while no prompt uses them. */
const MAX_IDLE = 64;

/** An image that the model has read. */
interface Entry {
  readonly key: string;
  readonly images: ReadImages;
  /** Text that represents the image in a prompt, with a placeholder for each of its rows. */
  readonly text: string;
  users: number;
}

/** The images of a prompt. Call `release` when the prompt is no longer used. */
export interface PromptImagesLease {
  /**
   * Encodes a text in which each mark stands for the next image. `before`: a preceding text, which has the first
   * images. Throws ArgumentError if there are more or fewer marks than images.
   */
  encode(text: string, before?: string): Promise<number[]>;
  /** Adds the marks of images and the start token to a text, as the model expects them without a chat template. */
  prompt(text: string): string;
  /** True if all placeholders among `ids` belong to these images. */
  hasAll(ids: readonly number[]): boolean;
  release(): void;
}

/** A model that reads images, with its processor and tokenizer. */
interface Reader {
  readonly model: PromptModel;
  readonly processor: ImageTextProcessor;
  readonly tokenizer: PretrainedTokenizer;
}

const readers = new WeakMap<object, PromptImages>();

/** The images of a model's prompts. One for each model, so that all conversations share them. */
export class PromptImages {
  /** Images by content, the most recently used one last. */
  readonly #entries = new Map<string, Promise<Entry>>();
  #unknown = 0;

  private constructor(private readonly reader: Reader) {}

  /** Returns the images of a model's prompts. Null if the model reads no images, or has no image processor. */
  static of(model: object): PromptImages | null {
    if (!(model instanceof PromptModel) || model.images === null) return null;
    const { processor, tokenizer } = model;
    if (!(processor instanceof ImageTextProcessor) || tokenizer === null) return null;
    const known = readers.get(model) ?? new PromptImages({ model, processor, tokenizer });
    readers.set(model, known);
    return known;
  }

  /** Reads images. Throws ArgumentError for values that are not images, FormatError for damaged files. */
  async read(task: string, images: readonly ImageInput[], signal?: AbortSignal): Promise<PromptImagesLease> {
    const used: Entry[] = [];
    const release = () => {
      for (const entry of used.splice(0)) this.#leave(entry);
    };
    try {
      for (const image of images) {
        used.push(await this.#entryOf(await decoded(task, image, signal)));
        await new Promise<void>((resolve) => afterEvents(resolve));
        signal?.throwIfAborted();
      }
    } catch (error) {
      release();
      throw error;
    }
    const entries = [...used];
    return {
      encode: (text, before = '') => this.#encode(text, entries.slice(before.split(this.#mark).length - 1)),
      prompt: (text) => {
        const { tokenizer, processor, model } = this.reader;
        const begin = model.startId === null ? '' : (tokenizer.idToToken(model.startId) ?? '');
        return processor.prompt(text, entries.length, this.#mark, begin);
      },
      hasAll: (ids) => {
        const promptIds = new Set(entries.flatMap((entry) => entry.images.ids.flat()));
        return ids.every((id) => id < this.reader.model.vocabSize || promptIds.has(id));
      },
      release,
    };
  }

  /**
   * Returns messages whose images the template shows. Most templates show only the text of a tool's result. Its images
   * then begin the next message of the user.
   */
  async arrange(messages: readonly ChatMessage[], chatTemplate?: string): Promise<readonly ChatMessage[]> {
    if (!hasImages(messages.filter(({ role }) => role === 'tool'))) return messages;
    return (await this.#showsToolImages(chatTemplate)) ? messages : toolImagesLater(messages);
  }

  async #showsToolImages(chatTemplate?: string): Promise<boolean> {
    const call = { id: 'call', type: 'function' as const, function: { name: 'look', arguments: {} } };
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'Look.' }] },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', tool_call_id: call.id, name: 'look', content: [{ type: 'image' }] },
    ];
    try {
      const text = await this.reader.tokenizer.applyChatTemplate(messages, { chatTemplate, tokenize: false });
      return text.includes(this.#mark);
    } catch (error) {
      if (error instanceof SimdformerError) return false; // the template refuses such messages
      throw error;
    }
  }

  get #mark(): string {
    const { mark } = this.reader.processor;
    return typeof mark === 'string' ? mark : this.#nameOf(mark);
  }

  #nameOf(id: number): string {
    const name = this.reader.tokenizer.idToToken(id);
    if (name !== null && name !== undefined) return name;
    throw new ArgumentError(`the tokenizer has no token ${id}, which stands for images by config.json`);
  }

  async #encode(text: string, entries: readonly Entry[]): Promise<number[]> {
    const { tokenizer, model, processor } = this.reader;
    const parts = text.split(this.#mark);
    if (parts.length - 1 !== entries.length)
      throw new ArgumentError(
        `the prompt has ${parts.length - 1} places for images (${this.#mark}), but there are ${entries.length} images`,
      );
    const whole = parts.map((part, i) => part + (entries[i]?.text ?? '')).join('');
    const ids = await tokenizer.encodeAsync(whole, { addSpecial: processor.addsSpecial });
    const { placeholder } = model.images as NonNullable<PromptModel['images']>;
    return atIds(
      [ids],
      placeholder,
      entries.flatMap((entry) => entry.images.ids),
    )[0] as number[];
  }

  async #entryOf(image: ImageBytes): Promise<Entry> {
    const key = (await keyOf(image)) ?? `unknown ${this.#unknown++}`;
    const known = this.#entries.get(key) ?? this.#make(key, image);
    this.#entries.delete(key);
    this.#entries.set(key, known);
    try {
      const entry = await known;
      entry.users++;
      return entry;
    } catch (error) {
      this.#entries.delete(key);
      throw error;
    }
  }

  async #make(key: string, image: ImageBytes): Promise<Entry> {
    const { model, processor } = this.reader;
    const ready = await inSlices(processor.processInParts(image));
    const inputs = inputsOf(model, ready);
    try {
      const images = await model.readImagesAsync(inputs);
      const placeholder = this.#nameOf((model.images as NonNullable<PromptModel['images']>).placeholder);
      const text = ready.pieces.map((piece) => {
        if (typeof piece === 'string') return piece;
        return 'rows' in piece ? placeholder.repeat(piece.rows) : this.#nameOf(piece.token);
      });
      return { key, images, text: text.join(''), users: 0 };
    } finally {
      inputs.pixelValues?.dispose();
      inputs.imagePositionIds?.dispose();
    }
  }

  #leave(entry: Entry): void {
    entry.users--;
    void this.#trim();
  }

  /** Frees the images that were unused for the longest time. */
  async #trim(): Promise<void> {
    let idle = 0;
    for (const [key, entry] of [...this.#entries].reverse()) {
      const { users, images } = await entry.catch(() => ({ users: 1, images: null }));
      if (users > 0 || ++idle <= MAX_IDLE) continue;
      this.#entries.delete(key);
      images?.dispose();
    }
  }
}

/** Returns the model's inputs for an image, as tensors outside of any scope. */
function inputsOf({ device }: PromptModel, ready: ReadyImage): ModelInputs {
  const { data, shape } = ready.pixelValues;
  const { spatialShapes, pixelAttentionMask, imageGridThw, imagePositionIds: positions } = ready;
  return {
    pixelValues: device.unscoped(() => device.tensor(data, shape)),
    ...(spatialShapes && { spatialShapes }),
    ...(pixelAttentionMask && { pixelAttentionMask }),
    ...(imageGridThw && { imageGridThw }),
    ...(positions && {
      imagePositionIds: device.unscoped(() =>
        device.tensor(Int32Array.from(positions.flat()), [1, positions.length, 2]),
      ),
    }),
  };
}

/** Returns a digest of the pixels. Null if the platform has no digests, as on pages without https. */
async function keyOf(image: ImageBytes): Promise<string | null> {
  const subtle = globalThis.crypto?.subtle;
  const { width, height, data } = image ?? {};
  if (!subtle || !(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) return null;
  const digest = new Uint8Array(await subtle.digest('SHA-256', data as Uint8Array<ArrayBuffer>));
  return `${width} ${height} ${Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** True for a part of a message that is an image. */
export const isImagePart = (part: unknown): part is Readonly<Record<string, unknown>> =>
  isObject(part) && (part.type === 'image' || part.type === 'image_url');

/** True if a message has an image. */
export function hasImages(messages: readonly ChatMessage[]): boolean {
  return messages.some(({ content }) => Array.isArray(content) && content.some(isImagePart));
}

/** Moves the images of tools' results to the beginning of the user's next message, which is added if there is none. */
function toolImagesLater(messages: readonly ChatMessage[]): ChatMessage[] {
  const moved: ChatMessage[] = [];
  let images: Readonly<Record<string, unknown>>[] = [];
  for (const message of messages) {
    const { role, content } = message;
    if (role === 'tool' && Array.isArray(content)) {
      images.push(...content.filter(isImagePart));
      const texts = content.filter((part) => !isImagePart(part));
      moved.push({ ...message, content: texts.map(({ text }) => text ?? '').join('') });
    } else if (role === 'tool' || images.length === 0) {
      moved.push(message);
    } else if (role === 'user') {
      moved.push({ ...message, content: [...images, ...partsOf(content)] });
      images = [];
    } else {
      moved.push({ role: 'user', content: images }, message);
      images = [];
    }
  }
  return images.length === 0 ? moved : [...moved, { role: 'user', content: images }];
}

const partsOf = (content: ChatMessage['content']) =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []);

/**
 * Returns the images of messages in order, and the messages in the format that chat templates expect. Texts become
 * parts, and images lose their content. Throws ArgumentError for a part without an image.
 */
export function imagesIn(messages: readonly ChatMessage[]): { images: ImageInput[]; shown: ChatMessage[] } {
  const images: ImageInput[] = [];
  const shown = messages.map((message): ChatMessage => {
    const { content } = message;
    if (typeof content === 'string' && message.role !== 'tool')
      return { ...message, content: [{ type: 'text', text: content }] };
    if (!Array.isArray(content)) return message;
    const parts = content.map((part) => {
      if (!isImagePart(part)) return part;
      images.push(imageOf(part));
      return { type: 'image' };
    });
    return { ...message, content: parts };
  });
  return { images, shown };
}

/**
 * Returns the image of a part: Hugging Face's `{ type: 'image', image }`, or with `url` or `path`, or OpenAI's `{ type:
 * 'image_url', image_url: { url } }`.
 */
function imageOf(part: Readonly<Record<string, unknown>>): ImageInput {
  const { image_url: remote } = part;
  const found = part.image ?? part.url ?? part.path ?? (isObject(remote) ? remote.url : remote);
  if (isImage(found)) return found;
  const expected = '{ width, height, data }, a canvas, a path, a URL, a Blob or bytes';
  throw new ArgumentError(
    `the image of a message is ${describeValue(found)}, expected { type: 'image', image }: ${expected}`,
  );
}
