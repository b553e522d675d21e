// Keeps the page for visits without a network. public/offline.js, the service worker, answers from what is kept.

/** Same as in public/offline.js. */
const STORE = 'playground-1';

let starting: Promise<boolean> | null = null;

/**
 * Starts the service worker, which keeps what is loaded from then on. The engine's worker must begin afterwards: its
 * loads are not among those of the page. Resolves to false where service workers are not available.
 */
export function startKeeping(): Promise<boolean> {
  starting ??= register().catch(() => false);
  return starting;
}

async function register(): Promise<boolean> {
  const registration = await navigator.serviceWorker?.register('./offline.js');
  if (!registration) return false;
  await navigator.serviceWorker.ready;
  return true;
}

/**
 * Stores the page and all files of it that were loaded so far. Resolves to true once the page opens without a network, and
 * to false where service workers are not available.
 */
export async function keepPage(): Promise<boolean> {
  if (!(await startKeeping())) return false;
  const folder = new URL('./', location.href).href;
  const loaded = performance.getEntriesByType('resource').map(({ name }) => name.split('#')[0] as string);
  const own = loaded.filter((url) => url.startsWith(folder));
  await (await caches.open(STORE)).addAll([...new Set([location.href.split('#')[0] as string, ...own])]);
  return true;
}
