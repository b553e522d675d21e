// Starts workers in Node and in browsers.
import { DeviceError } from './errors.js';
import { isNode, nodeModule } from './node.js';

/** False in Cloudflare's workerd. */
export const hasWorkers: boolean = isNode || typeof Worker !== 'undefined';

/** A worker that is running. */
export interface RunningWorker {
  post(message: unknown, transfer?: Transferable[]): void;
  /** In Node, true keeps the process alive until the worker ends. */
  keepAlive(yes: boolean): void;
  terminate(): void;
}

/**
 * Starts a module in a worker. Node loads `url`. Browsers call `inBrowser`, because bundlers recognize only the literal
 * form of `new Worker(…)`. Messages go to `receive`. If the worker does not run, `lost` gets the reason. Throws
 * DeviceError if the worker cannot be created.
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
      // Workers refuse some of the process's options, such as --input-type, and do not need its loaders.
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
  // Browsers start only workers of the page's own origin, so modules from a CDN need a local script that imports them.
  // (Webpack replaces the URL in `inBrowser`; `url` is then a file URL of the build machine.)
  const isElsewhere = url.protocol.startsWith('http') && url.origin !== globalThis.origin;
  if (!isElsewhere) return inBrowser();
  return new Worker(scriptUrl(`import ${JSON.stringify(url)};`), { type: 'module' });
}

/** Returns a URL for the text of a script. */
export function scriptUrl(text: string): string {
  return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
}
