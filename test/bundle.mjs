// Bundles the programs that tests start, once for all of them: tsx would look for hundreds of modules at every start.
import { build } from 'esbuild';
import { forNode } from '../scripts/bundle.mjs';

export default async function setup() {
  const entryPoints = {
    simdformer: 'src/cli/main.ts',
    'mpi-rank': 'test/mpi/rank.ts',
    'bulk-worker': 'test/bulk/worker.ts',
    'bench-bulk-worker': 'bench/bulk/worker.ts',
    'train-until-killed': 'test/train/train-until-killed.ts',
  };
  // As deep as src/cli, from where paths into the package lead.
  await build({ ...forNode, entryPoints, outdir: 'build/tests' });
}
