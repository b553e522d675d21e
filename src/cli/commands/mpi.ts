import { Command } from 'commander';
import { addonPath, buildMpi, builtMpis } from '../../mpi/build.js';

export function mpiCommand(): Command {
  const command = new Command('mpi').description('train on several machines: build the MPI addon');
  command
    .command('build')
    .description('compile the addon with the MPI of this machine, once; then run `mpirun -n 4 npx simdformer train …`')
    .option('--compiler <name>', "MPI's C++ compiler", 'mpicxx')
    .action(async ({ compiler }: { compiler: string }) => {
      const { name, path } = await buildMpi(compiler);
      console.log(`The addon for ${name} is built: ${path}`);
    });
  command
    .command('info')
    .description('list the addons that are built')
    .action(() => {
      const built = builtMpis();
      if (built.length === 0) console.log('None is built: `simdformer mpi build` does it.');
      for (const name of built) console.log(`${name}  ${addonPath(name)}`);
    });
  return command;
}
