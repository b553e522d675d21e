// All that the package has, for tests that take it as one object: in pages, from bundles, or as a namespace of types.

export * from '../src/generate/index.js';
export * from '../src/index.js';
export * from '../src/inspect/index.js';
export * from '../src/io/index.js';
export * from '../src/models/index.js';
export * from '../src/nn/index.js';
export * from '../src/ops/index.js';
export * from '../src/tokenizers/index.js';
export * from '../src/train/index.js';

/** The parts of a built package that make up the same. */
export const parts = ['index', 'generate', 'inspect', 'io', 'models', 'nn', 'ops', 'tokenizers', 'train'] as const;

/** An expression whose value is a promise of all parts in one object, for a page that has them in a folder. */
export function importParts(folder: string): string {
  const imports = parts.map((part) => `import('${folder}/${part}.js')`);
  return `Promise.all([${imports.join(', ')}]).then((all) => Object.assign({}, ...all))`;
}
