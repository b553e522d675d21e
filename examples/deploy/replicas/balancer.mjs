// A balancer for replicas of the server, with prefix affinity. Requests whose prompts begin alike go to one replica, which has
// that beginning in its cache. Without packages:
//
//   PORT=8000 node balancer.mjs http://127.0.0.1:8081 http://127.0.0.1:8082 http://127.0.0.1:8083
import { createHash } from 'node:crypto';
import { createServer, request } from 'node:http';
import { pathToFileURL } from 'node:url';

/** A prompt's first characters choose the replica. Later turns of a conversation have the same ones. */
const PREFIX = 256;
/** A replica with more requests than this, and than the average, leaves new ones to the next replica. */
const MAX_RUNNING = 8;
const RETRY_MS = 2000;

/** The text that requests of one conversation share. Other requests have none, and go to the least busy replica. */
export function prefixOf(body) {
  const { model = '', messages, input, prompt, system } = body;
  const given = messages ?? input ?? prompt;
  if (given === undefined) return null;
  const text = typeof given === 'string' ? given : JSON.stringify(given);
  return `${model}\n${JSON.stringify(system ?? '')}\n${text.slice(0, PREFIX)}`;
}

const hash = (text) => createHash('sha256').update(text).digest('hex');

/**
 * Orders replicas for a prefix by rendezvous hashing. If a replica is added or removed, only the prefixes that it gets or
 * had move to another one.
 */
export function ordered(urls, prefix) {
  return [...urls].sort((a, b) => (hash(`${a}\n${prefix}`) < hash(`${b}\n${prefix}`) ? -1 : 1));
}

/** Starts a balancer, and returns its server. */
export function balance(urls, port = 8000) {
  const replicas = new Map(urls.map((url) => [url, { url, running: 0, downUntil: 0 }]));

  /** The replicas in the order in which a request tries them. */
  function choices(prefix) {
    const all = [...replicas.values()];
    const leastBusy = [...all].sort((a, b) => a.running - b.running);
    const now = Date.now();
    const byPrefix = prefix === null ? leastBusy : ordered(urls, prefix).map((url) => replicas.get(url));
    const mean = all.reduce((sum, { running }) => sum + running, 0) / all.length;
    const isFree = ({ running, downUntil }) => downUntil <= now && running <= Math.max(MAX_RUNNING, mean);
    const isUp = ({ downUntil }) => downUntil <= now;
    return [...new Set([...byPrefix.filter(isFree), ...leastBusy.filter(isUp), ...byPrefix])];
  }

  /** Sends a request to a replica. Rejects if the replica cannot be reached, or is shutting down. */
  const send = (replica, { method, url, headers }, body, response) =>
    new Promise((resolve, reject) => {
      replica.running++;
      const upstream = request(new URL(url, replica.url), { method, headers }, (answer) => {
        if (answer.statusCode === 503) {
          answer.resume();
          reject(new Error('503'));
          return;
        }
        response.writeHead(answer.statusCode, { ...answer.headers, 'x-replica': replica.url });
        answer.pipe(response);
        answer.on('end', resolve).on('error', () => response.destroy());
      });
      upstream.on('error', (error) => (response.headersSent ? response.destroy() : reject(error)));
      upstream.on('close', () => replica.running--);
      response.on('close', () => upstream.destroy()); // a client that leaves ends its request
      upstream.end(body);
    });

  const server = createServer(async (incoming, response) => {
    const parts = [];
    for await (const part of incoming) parts.push(part);
    const body = Buffer.concat(parts);
    let prefix = null;
    try {
      prefix = prefixOf(JSON.parse(body.toString()));
    } catch {
      // The replica refuses what is not JSON.
    }
    for (const replica of choices(prefix)) {
      if (response.destroyed) return;
      try {
        return await send(replica, incoming, body, response);
      } catch {
        replica.downUntil = Date.now() + RETRY_MS;
      }
    }
    response.writeHead(503, { 'retry-after': '2', 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ error: { message: 'No replica answers.', type: 'server_error', code: 'no_replica' } }),
    );
  });
  return server.listen(port, '127.0.0.1');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const server = balance(process.argv.slice(2), Number(process.env.PORT ?? 8000));
  server.on('listening', () => console.log(`http://127.0.0.1:${server.address().port}`));
}
