// The images of a conversation. Their code is loaded for models that read images.

import { ArgumentError } from '../../core/errors.js';
import type { ChatMessage } from '../../tokenizers/index.js';
import type { PromptImagesLease } from '../prompt-images.js';
import type { ChatModel } from './chat-options.js';

/** Messages as templates expect them, and their images. */
export interface ShownImages {
  readonly shown: readonly ChatMessage[];
  readonly lease: PromptImagesLease;
}

/** Keeps the images of the latest prompt in memory. */
export class ConversationImages {
  #lease: PromptImagesLease | null = null;

  /**
   * Returns the messages, and their images as the model has read them. Returns null if the model reads only text.
   * Throws ArgumentError for images if the model reads none.
   */
  async of(
    model: ChatModel,
    messages: readonly ChatMessage[],
    chatTemplate: string | undefined,
  ): Promise<ShownImages | null> {
    if (!(model as { images?: object | null }).images && !messages.some(hasParts)) return null;
    const { hasImages, imagesIn, PromptImages } = await import('../prompt-images.js');
    const images = PromptImages.of(model);
    if (images === null) {
      if (!hasImages(messages)) return null;
      throw new ArgumentError('Chat: a message has an image, but the model reads no images');
    }
    const { images: inputs, shown } = imagesIn(await images.arrange(messages, chatTemplate));
    const lease = await images.read('Chat', inputs);
    this.release(); // equal images stay in memory
    this.#lease = lease;
    return { shown, lease };
  }

  release(): void {
    this.#lease?.release();
    this.#lease = null;
  }
}

const hasParts = ({ content }: ChatMessage) => Array.isArray(content) && content.some(({ type }) => type !== 'text');
