import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';

/** The source of a file: a path, or a function that makes its text. */
type Origin = string | (() => string | Promise<string>);

/** Serves files from other folders with the page, and copies them into its build. Keys are their names there. */
export function files(origins: Readonly<Record<string, Origin>>): Plugin {
  const read = (origin: Origin) => (typeof origin === 'string' ? readFile(origin) : origin());
  return {
    name: 'explorer-files',
    configureServer({ middlewares }) {
      middlewares.use(async (request, response, next) => {
        const origin = origins[(request.url ?? '').slice(1).split('?')[0] as string];
        if (origin === undefined) return next();
        try {
          response.end(await read(origin));
        } catch (error) {
          next(error);
        }
      });
    },
    async generateBundle() {
      for (const [fileName, origin] of Object.entries(origins)) {
        this.emitFile({ type: 'asset', fileName, source: await read(origin) });
      }
    },
  };
}

/** Excludes matching modules from a build. The package imports them only in Node. */
export function without(...patterns: readonly RegExp[]): Plugin {
  return {
    name: 'explorer-without',
    generateBundle(_, bundle) {
      for (const name of Object.keys(bundle)) if (patterns.some((pattern) => pattern.test(name))) delete bundle[name];
    },
  };
}
