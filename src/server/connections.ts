import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** The connections of a server and their requests. Node cannot tell an idle connection from a busy one. */
export class Connections {
  /** The number of requests that arrived completely and are not answered yet. */
  readonly #requests = new Map<Socket, number>();
  #isDraining = false;

  constructor(private readonly server: Server) {
    server.on('connection', (socket: Socket) => {
      this.#requests.set(socket, 0);
      socket.once('close', () => this.#requests.delete(socket));
    });
    server.on('request', (request, response) => {
      const { socket } = request;
      const change = (by: number) => {
        const count = this.#requests.get(socket);
        if (count === undefined) return;
        this.#requests.set(socket, count + by);
        if (this.#isDraining && count + by === 0) socket.destroySoon();
      };
      let isComplete = false;
      const complete = () => {
        if (!isComplete) change(1);
        isComplete = true;
      };
      if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined)
        complete();
      else request.once('end', complete);
      response.once('close', () => isComplete && change(-1));
    });
  }

  /**
   * Accepts no more connections. Closes connections without a complete request at once, and the others when they are
   * answered, or after `maxMilliseconds`. Resolves when all are closed.
   */
  async drain(maxMilliseconds: number, answered: () => Promise<void>): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.#isDraining = true;
    for (const [socket, requests] of this.#requests) if (requests === 0) socket.destroy();
    const timer = setTimeout(() => {
      for (const socket of this.#requests.keys()) socket.destroy();
    }, maxMilliseconds);
    try {
      await answered();
      await closed;
    } finally {
      clearTimeout(timer);
    }
  }
}
