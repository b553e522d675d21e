import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A folder for files that are made once on a machine and used by every benchmark. It is not in git. */
export const cacheFolder = fileURLToPath(new URL('../../.cache/bench/', import.meta.url));

/** Peers from npm that are too large to install with the development dependencies: 139 MB to 450 MB. */
const versions = {
  'onnxruntime-node': '1.30.0',
  'onnxruntime-web': '1.30.0',
  '@huggingface/transformers': '4.3.2',
  '@wllama/wllama': '3.13.0',
  'node-llama-cpp': '3.21.1',
} as const;

/** Further arguments of `npm install`: without them, node-llama-cpp brings binaries of all platforms. */
const platform = `@node-llama-cpp/${process.platform}-${process.arch}@${versions['node-llama-cpp']}`;
const more: { readonly [name in keyof typeof versions]?: readonly string[] } = {
  'node-llama-cpp': ['--omit=optional', platform],
};

export type PeerPackage = keyof typeof versions;

/** Returns the folder of a peer's package and its version. Installs it at the first use. */
export function peerPackage(name: PeerPackage): { folder: string; version: string } {
  const version = versions[name];
  const home = join(cacheFolder, `${name.replace('/', '+')}-${version}`);
  const folder = join(home, 'node_modules', name);
  if (!existsSync(home)) {
    console.error(`installing ${name} ${version} into .cache/bench, once …`);
    const unfinished = `${home}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    writeFileSync(join(unfinished, 'package.json'), '{ "private": true }\n');
    // Scripts are disabled, because that of onnxruntime-node would fetch the CUDA provider.
    const args = [
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      `${name}@${version}`,
      ...(more[name] ?? []),
    ];
    const { status, stderr, error } = spawnSync('npm', args, { cwd: unfinished, encoding: 'utf8' });
    if (status !== 0) {
      rmSync(unfinished, { recursive: true, force: true });
      throw new Error(error?.message ?? stderr.trim().split('\n').at(-1) ?? `npm install ${name} failed`);
    }
    renameSync(unfinished, home);
  }
  return { folder, version };
}
