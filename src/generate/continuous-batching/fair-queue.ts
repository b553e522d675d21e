/** The waiting items of one client. */
interface Line<Item> {
  readonly items: Item[];
  /** Time at which one of its items was last taken. */
  servedAt: number;
}

/**
 * Serves the requests of one client in order of arrival. Among clients, the one with the fewest running requests is
 * next, then the one that was served longest ago. A client that sends a hundred requests does not delay one that sends
 * a single request.
 */
export class FairQueue<Item extends { readonly client: string }> {
  readonly #lines = new Map<string, Line<Item>>();
  #size = 0;
  #served = 0;
  /** Times at which clients without waiting requests were last served. Cleared when the queue is empty. */
  readonly #past = new Map<string, number>();

  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    let line = this.#lines.get(item.client);
    if (line === undefined) {
      line = { items: [], servedAt: this.#past.get(item.client) ?? -1 };
      this.#lines.set(item.client, line);
    }
    line.items.push(item);
    this.#size++;
  }

  /**
   * Removes and returns the next item for which `isReady` is true, or returns undefined. `running` returns the number
   * of running requests of a client.
   */
  shift(running: (client: string) => number, isReady: (item: Item) => boolean): Item | undefined {
    const ready = [...this.#lines].filter(([, { items }]) => isReady(items[0] as Item));
    const ranked = ready.map(([client, line]) => ({ client, line, running: running(client) }));
    ranked.sort((a, b) => a.running - b.running || a.line.servedAt - b.line.servedAt);
    const [next] = ranked;
    if (next === undefined) return undefined;
    const item = next.line.items[0] as Item;
    next.line.servedAt = this.#served++;
    this.delete(item);
    return item;
  }

  /** Removes an item. Returns false if it is not in the queue. */
  delete(item: Item): boolean {
    const line = this.#lines.get(item.client);
    const at = line?.items.indexOf(item) ?? -1;
    if (line === undefined || at < 0) return false;
    line.items.splice(at, 1);
    this.#size--;
    if (line.items.length === 0) {
      this.#lines.delete(item.client);
      this.#past.set(item.client, line.servedAt);
    }
    if (this.#size === 0) this.#past.clear();
    return true;
  }

  *[Symbol.iterator](): Generator<Item> {
    for (const { items } of this.#lines.values()) yield* items;
  }
}
