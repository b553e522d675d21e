// Makes the packages beside the main one and the prebuilt addons, in build/npm:
//   simdformer-source     the C++ sources, and the program that compiles the addon where they are installed
//   simdformer-<model>    a model of models/
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version, license, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

function packageFolder(name, manifest) {
  const folder = join(root, 'build/npm', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ name, version, license, ...manifest }, null, 2)}\n`);
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  return folder;
}

const source = packageFolder('simdformer-source', {
  description: "The C++ sources of simdformer's native addon, compiled by npx simdformer-source.",
  main: 'simdformer.node',
  // The compiler is a command instead of an install script, because package managers ask before they run install
  // scripts.
  bin: 'compile.mjs',
  gypfile: false, // npm would compile a package with a binding.gyp when it is installed, and leave object files
  dependencies: { 'node-addon-api': devDependencies['node-addon-api'] },
});
cpSync(join(root, 'binding.gyp'), join(source, 'binding.gyp'));
cpSync(join(root, 'native'), join(source, 'native'), { recursive: true });
cpSync(join(root, 'scripts/compile.mjs'), join(source, 'compile.mjs'));

for (const model of readdirSync(join(root, 'models'))) {
  const folder = packageFolder(`simdformer-${model}`, { description: `The model ${model} of simdformer.` });
  cpSync(join(root, 'models', model), folder, { recursive: true });
}
