// Files on servers that send parts, some of which do it badly, and on those that do not.
import { createServer, type OutgoingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { FetchError, FormatError } from '../../src/core/errors.js';
import { fetchInParts } from '../../src/io/fetch-parts.js';
import type { OpenFile } from '../../src/io/file.js';

/** Bytes that are asked for at a time. */
const PART = 1 << 21;
const content = Buffer.from(Uint8Array.from({ length: 3 * PART + 1000 }, (_, i) => Math.imul(i, 2654435761) >>> 24));

interface Part {
  readonly from: number;
  readonly to: number;
}

let server: Server;
let url: URL;
/** Start of each requested part; null for a whole file. */
let asked: (number | null)[];
let redirected: number;
let answer: (response: ServerResponse, part: Part | null) => void;

beforeAll(async () => {
  server = createServer(({ url: path, headers: { range } }, response) => {
    if (path === '/latest.gguf') {
      redirected++;
      response.writeHead(302, { location: '/model.gguf' }).end();
      return;
    }
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
    asked.push(from === undefined ? null : Number(from));
    answer(response, from === undefined ? null : { from: Number(from), to: Math.min(Number(to) + 1, content.length) });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  redirected = 0;
  answer = send();
});

/** A server that sends what it is asked for. */
function send(headers: OutgoingHttpHeaders = {}, bytes = content, size = `${content.length}`): typeof answer {
  return (response, part) => {
    const body = part ? bytes.subarray(part.from, part.to) : bytes;
    const range = part ? { 'content-range': `bytes ${part.from}-${part.to - 1}/${size}` } : {};
    response.writeHead(part ? 206 : 200, { 'content-length': body.length, ...range, ...headers }).end(body);
  };
}

/** A server that sends the first part as it should, and then something else. */
const then =
  (other: typeof answer): typeof answer =>
  (response, part) =>
    (part?.from === 0 ? send({ etag: '"1"' }) : other)(response, part);

/** A server that begins a part, and goes no further. */
const hang: typeof answer = (response, part) => {
  const range = `bytes ${part?.from}-${content.length - 1}/${content.length}`;
  response.writeHead(206, { etag: '"1"', 'content-range': range }).flushHeaders();
};

async function readAll(file: OpenFile): Promise<Buffer> {
  const bytes = Buffer.alloc(file.size);
  const step = 300_000;
  for (let at = 0; at < file.size; at += step) await file.readAsync?.(at, bytes.subarray(at, at + step));
  return bytes;
}

/** Content that is read from the server's file. */
async function read(signal?: AbortSignal, from = url): Promise<Buffer> {
  const file = await fetchInParts(from, signal);
  try {
    return await readAll(file);
  } finally {
    file.close();
  }
}

const inParts = [0, PART, 2 * PART, 3 * PART];

it('are fetched one ahead of the reader', async () => {
  const file = await fetchInParts(url);
  const head = Buffer.alloc(1000);
  for (let again = 0; again < 2; again++) await file.readAsync?.(0, head);
  expect(head.equals(content.subarray(0, 1000))).toBe(true);
  await expect.poll(() => asked).toEqual([0, PART]);
  expect((await readAll(file)).equals(content)).toBe(true);
  expect(asked).toEqual(inParts);
  file.close();
});

it.each([{ etag: '"1"' }, { etag: 'W/"1"' }, { 'last-modified': 'Sun, 29 Nov 2026 12:00:00 GMT' }])(
  'are of one version, by %j',
  async (headers) => {
    answer = send(headers);
    expect((await read()).equals(content)).toBe(true);
    expect(asked).toEqual(inParts);
  },
);

it('all come from the target of the first redirect', async () => {
  expect((await read(undefined, new URL('/latest.gguf', url))).equals(content)).toBe(true);
  expect([asked, redirected]).toEqual([inParts, 1]);
});

it('end at the end of the file', async () => {
  const small = content.subarray(0, 10);
  answer = (response, part) => send({}, small, '10')(response, part && { from: part.from, to: 10 });
  expect((await read()).equals(small)).toBe(true);
  expect(asked).toEqual([0]);
});

it.each<[string, typeof answer]>([
  ['knows no ranges', (response) => send()(response, null)],
  ['does not say how long the whole is', send({}, content, '*')],
  [
    'hides the range, as one of another origin may',
    (response, part) => void response.writeHead(206).end(content.subarray(part?.from, part?.to)),
  ],
  ['compresses parts', send({ 'content-encoding': 'gzip' })],
  ['sends another part', (response, part) => send()(response, part && { from: 7, to: part.to })],
  ['refuses ranges', (response, part) => (part ? response.writeHead(416).end() : send()(response, part))],
  ['breaks off where it is asked for one', (response, part) => (part ? response.destroy() : send()(response, part))],
])('are one if a server %s', async (_, other) => {
  answer = (response, part) => (part ? other : send())(response, part);
  expect((await read()).equals(content)).toBe(true);
  expect(asked.slice(1)).toEqual(asked.length > 1 ? [null] : []);
});

it.each<[string, typeof answer]>([
  ['does not say its length', (response) => void response.writeHead(200).end(content)],
  [
    'compresses it',
    (response) => {
      const body = gzipSync(content.subarray(0, 1000));
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length }).end(body);
    },
  ],
])('are refused if a server %s', async (_, other) => {
  answer = other;
  const error = await read().catch((error: unknown) => error);
  expect(error).toBeInstanceOf(FormatError);
  expect(error).toHaveProperty('message', expect.stringMatching(/was sent without a length/));
});

it.each<[string, typeof answer, RegExp]>([
  ['has another tag', send({ etag: '"2"' }), /beyond byte 2097152: it has changed meanwhile/],
  ['has no tag any more', send(), /it has changed meanwhile/],
  ['is longer', send({ etag: '"1"' }, content, `${content.length + 1}`), /it has changed meanwhile/],
  ['comes whole', (response) => send({ etag: '"1"' })(response, null), /HTTP status 200, expected the part/],
  ['is gone', (response) => void response.writeHead(404).end(), /HTTP status 404/],
  ['cannot be reached', (response) => void response.destroy(), /cannot be fetched/],
  [
    'ends early',
    (response, part) => {
      response.writeHead(206, {
        etag: '"1"',
        'content-range': `bytes ${part?.from}-${content.length}/${content.length}`,
      });
      response.flushHeaders();
      response.destroy();
    },
    /broke off after 2097152 bytes/,
  ],
])('never mix two versions: the file %s', async (_, other, message) => {
  answer = then(other);
  const error = await read().catch((error: unknown) => error);
  expect(error).toBeInstanceOf(FetchError);
  expect(error).toHaveProperty('message', expect.stringMatching(message));
});

it('are compared by date if there is no tag', async () => {
  answer = (response, part) =>
    send({ 'last-modified': `Sun, 29 Nov 2026 12:00:0${part?.from ? 1 : 0} GMT` })(response, part);
  await expect(read()).rejects.toThrow(/it has changed meanwhile/);
});

it('are requested again after a lost connection', async () => {
  const broken = new Set<number>();
  answer = (response, part) => {
    const { from, to } = part as Part;
    if (broken.has(from)) return send()(response, part);
    broken.add(from);
    const range = `bytes ${from}-${to - 1}/${content.length}`;
    response.writeHead(206, { 'content-length': to - from, 'content-range': range });
    response.write(content.subarray(from, from + 100), () => response.destroy());
  };
  expect((await read()).equals(content)).toBe(true);
  expect(asked).toEqual(inParts.flatMap((from) => [from, from]));
});

it('continue after a part that is shorter than announced', async () => {
  answer = (response, part) => {
    const { from, to } = part as Part;
    response.writeHead(206, { 'content-range': `bytes ${from}-${to - 1}/${content.length}` });
    response.end(content.subarray(from, Math.min(to, from + 1_500_000)));
  };
  expect((await read()).equals(content)).toBe(true);
  expect(asked).toEqual([0, 1_500_000, 3_000_000, 4_500_000, 6_000_000]);
});

it('are refused if the file ends early', async () => {
  answer = then((response, part) => send({ etag: '"1"' }, content.subarray(0, part?.from))(response, part));
  await expect(read()).rejects.toThrow(/ends after 2097152 of 6292456 bytes/);
});

it('may have any length', async () => {
  answer = (response, part) => send()(response, part && { ...part, to: Math.min(part.to, part.from + 1_000_000) });
  expect((await read()).equals(content)).toBe(true);
});

it('end at the signal', async () => {
  const [controller, reason] = [new AbortController(), new Error('enough')];
  answer = then(hang);
  const reading = read(controller.signal);
  setTimeout(() => controller.abort(reason), 100);
  await expect(reading).rejects.toBe(reason);
  await expect(read(controller.signal)).rejects.toBe(reason);
});

it('are dropped when the file is closed', async () => {
  let isClosed = false;
  answer = then((response, part) => {
    response.on('close', () => {
      isClosed = true;
    });
    hang(response, part);
  });
  const file = await fetchInParts(url);
  await file.readAsync?.(0, Buffer.alloc(1000));
  await expect.poll(() => asked.length).toBe(2);
  file.close();
  await expect.poll(() => isClosed).toBe(true);
});

it('report an unreachable server', async () => {
  url = new URL('http://127.0.0.1:9/model.gguf');
  await expect(read()).rejects.toThrow(FetchError);
});
