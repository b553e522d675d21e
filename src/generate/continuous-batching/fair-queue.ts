/** The waiting items of one client. */
interface ClientQueue<Item> {
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
  readonly #queues = new Map<string, ClientQueue<Item>>();
  #size = 0;
  #served = 0;
  /** Times at which clients without waiting requests were last served. Cleared when the queue is empty. */
  readonly #lastServed = new Map<string, number>();

  get size(): number {
    return this.#size;
  }

  push(item: Item): void {
    let queue = this.#queues.get(item.client);
    if (queue === undefined) {
      queue = { items: [], servedAt: this.#lastServed.get(item.client) ?? -1 };
      this.#queues.set(item.client, queue);
    }
    queue.items.push(item);
    this.#size++;
  }

  /**
   * Removes and returns the next item for which `isReady` is true, or returns undefined. `running` returns the number
   * of running requests of a client.
   */
  shift(running: (client: string) => number, isReady: (item: Item) => boolean): Item | undefined {
    const ready = [...this.#queues].filter(([, { items }]) => isReady(items[0] as Item));
    const ranked = ready.map(([client, queue]) => ({ queue, running: running(client) }));
    ranked.sort((a, b) => a.running - b.running || a.queue.servedAt - b.queue.servedAt);
    const [next] = ranked;
    if (next === undefined) return undefined;
    const item = next.queue.items[0] as Item;
    next.queue.servedAt = this.#served++;
    this.delete(item);
    return item;
  }

  /** Removes an item. Returns false if it is not in the queue. */
  delete(item: Item): boolean {
    const queue = this.#queues.get(item.client);
    const index = queue?.items.indexOf(item) ?? -1;
    if (queue === undefined || index < 0) return false;
    queue.items.splice(index, 1);
    this.#size--;
    if (queue.items.length === 0) {
      this.#queues.delete(item.client);
      this.#lastServed.set(item.client, queue.servedAt);
    }
    if (this.#size === 0) this.#lastServed.clear();
    return true;
  }

  *[Symbol.iterator](): Generator<Item> {
    for (const { items } of this.#queues.values()) yield* items;
  }
}
