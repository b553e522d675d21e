// Images and sounds in requests: data URLs, base64, and addresses at hosts that the operator allows.

import { ArgumentError, FormatError } from '../core/errors.js';
import type { LoadedModel } from '../pretrained/index.js';
import { imagesIn, isImagePart, PromptImages, type PromptImagesLease } from '../tasks/prompt-images.js';
import type { ChatMessage } from '../tokenizers/chat-template.js';
import { chatPath, type FieldNames } from './dialect.js';
import { ApiError } from './errors.js';

/** Maximum bytes of a remote image. */
const MAX_BYTES = 20 * 2 ** 20;
/** Time limit in milliseconds for fetching a remote image. */
const TIMEOUT_MS = 30_000;

/** Messages as the template expects them, and their images. */
export interface ReadMessages {
  readonly messages: readonly ChatMessage[];
  /** Null for a model that reads no images. */
  readonly lease: PromptImagesLease | null;
}

/** Reads the images of messages. Throws ApiError 400. */
export async function readImages(
  model: LoadedModel,
  messages: readonly ChatMessage[],
  hosts: readonly string[],
  signal: AbortSignal,
  fields: FieldNames,
): Promise<ReadMessages> {
  const promptImages = PromptImages.of(model);
  if (promptImages === null) {
    const location = locationOf(messages, fields);
    if (location === null) return { messages, lease: null };
    throw new ApiError(400, 'The model reads no images, expected messages of text', 'unsupported_image', location);
  }
  const { images, shown } = imagesIn(await promptImages.arrange(messages));
  const files: Uint8Array[] = [];
  for (const image of images) files.push(await mediaOf(String(image), hosts, fields.input, signal));
  try {
    return { messages: shown, lease: await promptImages.read(fields.input, files, signal) };
  } catch (error) {
    if (!(error instanceof ArgumentError || error instanceof FormatError)) throw error;
    throw refusal(error.message, fields.input);
  }
}

/** Returns the path of the first image in a request; null if there is none. */
function locationOf(messages: readonly ChatMessage[], fields: FieldNames): string | null {
  for (const [i, message] of messages.entries()) {
    const part = Array.isArray(message.content) ? message.content.findIndex(isImagePart) : -1;
    if (part >= 0) return chatPath(fields, `[${i}].content[${part}]`);
  }
  return null;
}

/**
 * Reads the bytes of an image or a sound: a data URL, base64, or the address of an image at one of `hosts`. Throws
 * ApiError 400, which names `param`.
 */
export async function mediaOf(
  source: string,
  hosts: readonly string[],
  param: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const refused = (what: string) => refusal(what, param);
  const [, base64] = /^(?:data:(?:image|audio)\/[\w.+-]+;base64,)?([A-Za-z0-9+/=\s]+)$/.exec(source) ?? [];
  if (base64 !== undefined) return new Uint8Array(Buffer.from(base64, 'base64'));
  if (source.startsWith('data:')) throw refused("a data URL is damaged, expected 'data:image/png;base64,…'");
  if (!URL.canParse(source) || !/^https?:$/.test(new URL(source).protocol))
    throw refused("an image's URL is not an address, expected a data URL or https://…");
  const { host } = new URL(source);
  if (!hosts.includes(host))
    throw refused(
      `images at ${host} are not fetched: send a data URL, or ask the operator to allow the host (imageHosts)`,
    );
  return download(source, param, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]));
}

/** Downloads an image. Redirects are not followed, because they could lead to other hosts. */
async function download(url: string, param: string, signal: AbortSignal): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { signal, redirect: 'error' });
    if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      size += part.length;
      if (size > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
      parts.push(part);
    }
    return new Uint8Array(Buffer.concat(parts));
  } catch (error) {
    throw refusal(`the image at ${new URL(url).host} cannot be fetched: ${(error as Error).message}`, param);
  }
}

function refusal(what: string, param: string): ApiError {
  return new ApiError(400, `An image cannot be read: ${what}`, 'invalid_image', param);
}
