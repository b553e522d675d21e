// Makes what tsc left in dist/ small, for the published package: no comments and short names in its JavaScript. The types
// keep their comments. Charts get d3 bundled in, so that nobody has to install it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const ownModules = {
  name: 'own modules stay outside',
  setup: (build) =>
    build.onResolve({ filter: /^\.\.?\// }, ({ path, importer }) =>
      importer === '' || importer.includes('node_modules') ? undefined : { path, external: true },
    ),
};

await build({
  absWorkingDir: root,
  entryPoints: { svg: './src/inspect/svg.ts' },
  outdir: 'dist/inspect',
  bundle: true,
  format: 'esm',
  target: 'es2022',
  plugins: [ownModules],
});

for (const name of readdirSync(join(root, 'dist'), { recursive: true })) {
  if (!name.endsWith('.js') || /^(node|browser|cli|vendor)[\\/]/.test(name)) continue;
  const path = join(root, 'dist', name);
  const { code } = await transform(readFileSync(path, 'utf8'), { minify: true, format: 'esm', target: 'es2022' });
  writeFileSync(path, code);
}
