// Bundles the programs that tests start. Without bundles, each start would load hundreds of modules through tsx.
import { build } from 'esbuild';
import { forNode } from '../scripts/bundle.mjs';
import { subpaths } from '../scripts/subpaths.mjs';

export default async function setup() {
  const api = ['index', ...subpaths].map((name) => [
    `api-${name}`,
    name === 'index' ? 'src/index.ts' : `src/${name}/index.ts`,
  ]);
  const entryPoints = {
    ...Object.fromEntries(api),
    'api-examples': 'test/api-examples/run.mts',
    simdformer: 'src/cli/main.ts',
    'mpi-rank': 'test/mpi/rank.ts',
    'bulk-worker': 'test/bulk/worker.ts',
    'bench-bulk-worker': 'bench/bulk/worker.ts',
    'train-until-killed': 'test/train/train-until-killed.ts',
  };
  // The output lies as deep as src/cli, because paths into the package are relative to that.
  await build({ ...forNode, entryPoints, outdir: 'build/tests' });
}
