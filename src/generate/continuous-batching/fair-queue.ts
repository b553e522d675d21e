/** What waits, by the client that it came from. */
interface Line<Item> {
  readonly items: Item[];
  /** When one of its items was taken last. */
  servedAt: number;
}

/**
 * First come, first served among the requests of one client; among clients it is the turn of the one that has the
 * fewest running, and of those the one served longest ago: whoever sends a hundred requests does not delay who sends one.
 */
export class FairQueue<Item extends { readonly client: string }> {
  readonly #lines = new Map<string, Line<Item>>();
  #size = 0;
  #served = 0;
  /** When clients without waiting requests were served last; forgotten once the queue is empty. */
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

  /** The next for which `isReady`, taken out; undefined if there is none. `running`: how many a client has. */
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

  /** Takes an item out; false if it is not there. */
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
