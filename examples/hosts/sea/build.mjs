// Makes dist/embed: one file with Node, this program, the package and its addon.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { build } from 'esbuild';

// The addon of this machine. Build on the system and processor that the program is for.
const library = { linux: '-gnu', win32: '-msvc' }[process.platform] ?? '';
const addon = createRequire(import.meta.url).resolve(`simdformer-${process.platform}-${process.arch}${library}`);

mkdirSync('dist', { recursive: true });
// The system loads addons only from files. So the program writes its addon into a new folder at each start. The package
// looks for `../addon/simdformer.node` beside its own file, whose URL is that of META.
const banner = `
const { getRawAsset } = require('node:sea');
const root = require('node:fs').mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'embed-'));
require('node:fs').mkdirSync(root + '/addon');
require('node:fs').writeFileSync(root + '/addon/simdformer.node', new Uint8Array(getRawAsset('simdformer.node')));
process.on('exit', () => require('node:fs').rmSync(root, { recursive: true, force: true }));
const META = { url: require('node:url').pathToFileURL(root + '/program/main.js').href };
`;
await build({
  entryPoints: ['main.js'],
  outfile: 'dist/main.cjs',
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node22',
  // Single executables import no modules while they run, but they require those of Node.
  supported: { 'dynamic-import': false },
  define: { 'import.meta': 'META' },
  banner: { js: banner },
  // Packages of other parts of simdformer, such as the server. This program does not call them.
  external: ['@*', 'bullmq', 'csv-parse*', 'hono*', 'hyparquet', 'ioredis', 'pino', 'prom-client', 'sharp'],
  logLevel: 'error',
});
const assets = { 'simdformer.node': addon };
const config = { main: 'dist/main.cjs', output: 'dist/main.blob', disableExperimentalSEAWarning: true, assets };
writeFileSync('dist/sea.json', JSON.stringify(config));
execFileSync(process.execPath, ['--experimental-sea-config', 'dist/sea.json'], { stdio: 'ignore' });
const program = process.platform === 'win32' ? 'dist/embed.exe' : 'dist/embed';
copyFileSync(process.execPath, program);
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const options = process.platform === 'darwin' ? ['--macho-segment-name', 'NODE_SEA'] : [];
const postject = ['node_modules/postject/dist/cli.js', program, 'NODE_SEA_BLOB', 'dist/main.blob'];
execFileSync(process.execPath, [...postject, '--sentinel-fuse', fuse, ...options], { stdio: 'ignore' });
