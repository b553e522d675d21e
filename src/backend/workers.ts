// Workers, as Node and browsers have them.
import { DeviceError } from './errors.js';
import { isNode, nodeModule } from './node.js';

/** Cloudflare's workerd has none. */
export const hasWorkers: boolean = isNode || typeof Worker !== 'undefined';

/** A worker that is running. */
export interface RunningWorker {
  post(message: unknown, transfer?: Transferable[]): void;
  /** Node: whether the process must not end before the worker does. */
  keepAlive(yes: boolean): void;
  terminate(): void;
}

/**
 * Starts a module in a worker. `inBrowser` makes the worker, because bundlers look for the literal form of that; `url`
 * is what Node loads. Messages go to `receive`; `lost` hears why the worker does not run, if it does not. Throws
 * DeviceError where it cannot be made.
 */
export async function startWorker(
  url: URL,
  inBrowser: () => Worker,
  receive: (message: unknown) => void,
  lost: (error: DeviceError) => void,
): Promise<RunningWorker> {
  const failure = ({ message = 'it did not load' }: { message?: string }) =>
    new DeviceError(`the worker ${url} does not run: ${message}`);
  try {
    if (isNode) {
      const { Worker: NodeWorker } = await nodeModule<typeof import('node:worker_threads')>('worker_threads');
      // Workers refuse some of the process's options, such as --input-type, and loaders would only take time.
      const worker = new NodeWorker(url, { execArgv: [] });
      worker.on('message', receive).on('error', (error: Error) => lost(failure(error)));
      worker.unref();
      return {
        post: (message, transfer) => worker.postMessage(message, transfer as never),
        keepAlive: (yes) => (yes ? worker.ref() : worker.unref()),
        terminate: () => void worker.terminate(),
      };
    }
    const worker = startHere(url, inBrowser);
    worker.onmessage = ({ data }) => receive(data);
    worker.onerror = (event) => lost(failure(event));
    return {
      post: (message, transfer = []) => worker.postMessage(message, transfer),
      keepAlive: () => {},
      terminate: () => worker.terminate(),
    };
  } catch (error) {
    throw failure(error as Error);
  }
}

function startHere(url: URL, inBrowser: () => Worker): Worker {
  // Workers must be of the page's origin, which modules from a CDN are not. What they import need not be. (Where webpack
  // has put its own URL into `inBrowser`, `url` is a file's on the machine that ran it.)
  const isElsewhere = url.protocol.startsWith('http') && url.origin !== globalThis.origin;
  if (!isElsewhere) return inBrowser();
  return new Worker(scriptUrl(`import ${JSON.stringify(url)};`), { type: 'module' });
}

/** A URL for the text of a script. */
export function scriptUrl(text: string): string {
  return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
}
