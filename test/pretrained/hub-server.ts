// A server that answers as Hugging Face's hub does, and one that answers as the store to which it redirects for large files.
// Both can fail in the ways that real ones do.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const SHA = '0123456789abcdef0123456789abcdef01234567';
/** Files from this length on lie in the store. */
const LARGE = 1000;
const OWN = 'org/model';

/** Replaces an answer. Returns false to answer normally this time. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export class Hub {
  readonly requests: { method: string; url: string; host: 'hub' | 'store'; range?: string; authorization?: string }[] =
    [];
  /** Bytes of answers, by the name of the file. */
  readonly sent = new Map<string, number>();
  /** Asked in turn for each request, until one acts. */
  faults: Fault[] = [];
  /** Token that clients need. */
  token: string | undefined;
  /** True if the list of files has lengths and tags. */
  withBlobs = true;
  #hub!: Server;
  #store!: Server;
  sha = SHA;

  /** `files` are those of org/model; `others` has the files of other repositories by id. */
  constructor(
    readonly files: Record<string, Buffer>,
    readonly others: Readonly<Record<string, Record<string, Buffer>>> = {},
  ) {}

  get endpoint(): string {
    return urlOf(this.#hub);
  }

  async start(): Promise<this> {
    const watched = (host: 'hub' | 'store', answer: Fault) =>
      createServer((request, response) => {
        const { method = '', url = '', headers } = request;
        this.requests.push({
          method,
          url,
          host,
          ...(headers.range && { range: headers.range }),
          ...(headers.authorization && { authorization: headers.authorization }),
        });
        response.on('close', () => this.#count(url, response));
        if (!this.faults.some((fault) => fault(request, response))) answer(request, response);
      });
    this.#hub = await listening(watched('hub', (request, response) => this.#answer(request, response)));
    this.#store = await listening(watched('store', (request, response) => this.#stored(request, response)));
    return this;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #count(url: string, response: ServerResponse): void {
    const name = url.replace(/^.*\/resolve\/[^/]+\//, '').replace(/^\/|\?.*$/g, '');
    const { method } = response.req;
    const bytes = method === 'HEAD' ? 0 : Number(response.getHeader('content-length') ?? 0);
    this.sent.set(name, (this.sent.get(name) ?? 0) + bytes);
  }

  #filesOf(id: string | undefined): Record<string, Buffer> | undefined {
    return id === OWN ? this.files : this.others[id ?? ''];
  }

  #answer(request: IncomingMessage, response: ServerResponse): true {
    const url = new URL(request.url ?? '', this.endpoint);
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`)
      return refuse(response, 401, 'RepoNotFound', 'Repository not found');
    const info = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(url.pathname);
    const listed = this.#filesOf(info?.[1]);
    if (info !== null && listed !== undefined) {
      if (!['main', this.sha].includes(decodeURIComponent(info[2]!)))
        return refuse(response, 404, 'RevisionNotFound', 'Invalid rev id');
      const blobs = this.withBlobs && url.searchParams.has('blobs');
      const siblings = Object.entries(listed).map(([rfilename, data]) => ({
        rfilename,
        ...(blobs && { size: data.length, blobId: gitHash(data) }),
        ...(blobs && data.length >= LARGE && { lfs: { sha256: sha256(data), size: data.length, pointerSize: 134 } }),
      }));
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ id: info[1], sha: this.sha, siblings }));
      return true;
    }
    const path = decodeURIComponent(url.pathname);
    const [, id, name = ''] = /^\/([^/]+\/[^/]+)\/resolve\/(?:main|[\da-f]{40})\/(.+)$/.exec(path) ?? [];
    const files = this.#filesOf(id);
    if (files === undefined) return refuse(response, 404, 'RepoNotFound', 'Repository not found');
    const data = files[name];
    if (data === undefined) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
    response.setHeader('x-repo-commit', this.sha);
    if (data.length < LARGE) return send(request, response, data, `W/"${gitHash(data)}"`);
    response
      .writeHead(302, {
        location: `${urlOf(this.#store)}/${id === OWN ? '' : `${id}/`}${name}?signed`,
        'x-linked-size': data.length,
        'x-linked-etag': `"${sha256(data)}"`,
        etag: '"of the redirection"',
      })
      .end();
    return true;
  }

  #stored(request: IncomingMessage, response: ServerResponse): true {
    const path = decodeURIComponent(new URL(request.url ?? '', 'http://store').pathname.slice(1));
    const [, id, name = path] = /^([^/]+\/[^/]+)\/(.+)$/.exec(path) ?? [];
    const data = this.files[path] ?? this.#filesOf(id)?.[name];
    if (data === undefined) return refuse(response, 404, 'NoSuchKey', 'no such key');
    return send(request, response, data, '"of the store"');
  }
}

const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function listening(server: Server): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
const gitHash = (data: Buffer) => createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');

function refuse(response: ServerResponse, status: number, code: string, message: string): true {
  response.writeHead(status, { 'x-error-code': code, 'x-error-message': message }).end(message);
  return true;
}

function send(request: IncomingMessage, response: ServerResponse, data: Buffer, etag: string): true {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  response.setHeader('etag', etag).setHeader('accept-ranges', 'bytes');
  const from = Number(range?.[1] ?? 0);
  if (range !== null && from >= data.length) {
    response.writeHead(416, { 'content-range': `bytes */${data.length}` }).end();
    return true;
  }
  const to = range?.[2] ? Math.min(Number(range[2]) + 1, data.length) : data.length;
  if (range !== null) response.setHeader('content-range', `bytes ${from}-${to - 1}/${data.length}`);
  response.writeHead(range === null ? 200 : 206, { 'content-length': to - from });
  response.end(request.method === 'HEAD' ? undefined : data.subarray(from, to));
  return true;
}

/** Cuts the connection after so many bytes of what is asked for, as often as said. */
export function cutting(data: Buffer, part: number, times: number): Fault {
  return (request, response) => {
    if (request.method !== 'GET' || !request.url?.endsWith('?signed') || times-- <= 0) return false;
    const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
    response.writeHead(request.headers.range ? 206 : 200, {
      'content-length': data.length - from,
      ...(request.headers.range && { 'content-range': `bytes ${from}-${data.length - 1}/${data.length}` }),
    });
    response.write(data.subarray(from, from + part), () => response.destroy());
    return true;
  };
}

/** Answers with a status, as often as said. */
export function failing(status: number, times: number, headers: Record<string, string> = {}): Fault {
  return (_, response) => {
    if (times-- <= 0) return false;
    response.writeHead(status, headers).end();
    return true;
  };
}
