import { Command } from 'commander';
import { addonPath, buildMpi, builtMpis } from '../../mpi/build.js';

export function mpiCommand(): Command {
  const command = new Command('mpi').description('build the addon for training on several machines by MPI');
  command
    .command('build')
    .description('compile the addon with the MPI library of this machine, once')
    .option('--compiler <name>', 'C++ compiler of the MPI library', 'mpicxx')
    .action(async ({ compiler }: { compiler: string }) => {
      const { name, path } = await buildMpi(compiler);
      console.log(`The addon for ${name} is built: ${path}`);
    });
  command
    .command('info')
    .description('list the addons that were built')
    .action(() => {
      const built = builtMpis();
      if (built.length === 0) console.log('None is built: `simdformer mpi build` does it.');
      for (const name of built) console.log(`${name}  ${addonPath(name)}`);
    });
  return command;
}
