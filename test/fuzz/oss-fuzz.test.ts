// The projects for OSS-Fuzz: build.sh of the readers runs as it does there, and each target finds nothing in a short time.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const folder = 'test/fuzz/oss-fuzz';
const bin = mkdtempSync(join(tmpdir(), 'simdformer-oss-fuzz-'));
afterAll(() => rmSync(bin, { recursive: true }));

it('bundles the readers, and Jazzer.js runs them', { timeout: 300_000 }, () => {
  // Stands for OSS-Fuzz's own command of this name, which gets the same arguments.
  const command = join(bin, 'compile_javascript_fuzzer');
  writeFileSync(command, '#!/bin/sh\necho "$@"\n');
  chmodSync(command, 0o755);
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  const told = execFileSync('bash', [`${folder}/simdformer-readers/build.sh`], { env, encoding: 'utf8' });
  const targets = told
    .trim()
    .split('\n')
    .map((line) => line.replace('simdformer ', ''));
  expect(targets).toHaveLength(3);
  for (const target of targets) {
    const args = [target, '--timeout=250000', '--', '-runs=100', '-seed=1'];
    const done = execFileSync('node_modules/.bin/jazzer', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(done).not.toContain('ERROR');
  }
});

it('compile every source of the engine', () => {
  const script = readFileSync(`${folder}/simdformer/build.sh`, 'utf8');
  const { targets } = JSON.parse(readFileSync('binding.gyp', 'utf8'));
  const core = (targets[0].sources as string[]).filter((source) => source !== 'native/addon.cc');
  for (const source of core) expect(script).toContain(source);
  for (const name of readdirSync(folder, { withFileTypes: true }).filter((each) => each.isDirectory()))
    expect(readdirSync(`${folder}/${name.name}`).sort()).toEqual(['Dockerfile', 'build.sh', 'project.yaml']);
});
