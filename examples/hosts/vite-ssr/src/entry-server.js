import { embed } from './embed.js';

/** Answers a request on the server. Vite leaves packages out of server bundles by itself. */
export async function render(url) {
  return JSON.stringify(await embed(url.searchParams.get('text') ?? ''));
}
