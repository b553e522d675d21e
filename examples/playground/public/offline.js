// The page's service worker: the page opens without a network after the first visit. Models are stored by the package itself.
const STORE = 'playground-1';
const own = new URL('./', location.href).href;

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

/** The network first, so that a new version shows at once. Without a network, the copy of the last visit. */
async function answer(request) {
  const store = await caches.open(STORE);
  try {
    const response = await fetch(request);
    if (response.status === 200) await store.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await store.match(request, { ignoreSearch: true });
    if (kept !== undefined) return kept;
    throw error;
  }
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method === 'GET' && request.url.startsWith(own)) event.respondWith(answer(request));
});
