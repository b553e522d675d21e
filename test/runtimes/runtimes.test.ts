// The installed package in Node 22 and 24, Bun, Deno and Cloudflare's workerd: they compute what Node 20 does.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { run } from '../build-once.js';
import { untested } from '../equipment.js';
import { installed } from '../packages/installed.js';
import { programs } from './programs.js';

interface Result {
  info: { backend: string; isa: string; threads: number };
  logits: number[];
  losses: number[];
  sequences: number[][];
}

const paths = await programs().catch((error: Error) => {
  untested('other runtimes', error.message);
  return null;
});
const folder = paths && (await installed());
const place = join(folder ?? '', 'runtimes');

const cases = [{ isa: 'simd128', threads: 1 }, { threads: 2 }, { worker: true, threads: 2 }];
async function compute(program: string, ...args: string[]): Promise<Result[]> {
  const { stdout } = await run(program, [...args, 'main.mjs', JSON.stringify(cases)], { cwd: place });
  return JSON.parse(stdout);
}

if (folder) {
  describe('the installed package', () => {
    let expected: Result[];
    beforeAll(async () => {
      await cp('test/runtimes', place, { recursive: true });
      expected = await compute(process.execPath);
    });

    /** Results with relaxed SIMD, whose products are not rounded before they are added. */
    function expectNear(result: Result | undefined): void {
      const { logits, losses, sequences } = expected[0]!;
      expect(result?.sequences).toEqual(sequences);
      for (const [i, loss] of losses.entries()) expect(result?.losses[i]).toBeCloseTo(loss, 4);
      for (const [i, logit] of logits.entries()) expect(result?.logits[i]).toBeCloseTo(logit, 4);
    }

    it.each([
      ['Node', process.execPath, []],
      ['Node 22', paths?.node22, []],
      ['Node 24', paths?.node24, []],
      ['Bun', paths?.bun, []],
      ['Deno', paths?.deno, ['run', '--allow-read', '--allow-env', '--allow-sys']],
      ['Deno, which may not see the environment', paths?.deno, ['run', '--allow-read']],
    ] as const)(
      '%s: to the bit where the instructions are the same, with threads and in a worker',
      async (_, path, args) => {
        const [same, threads, worker] = await compute(path as string, ...args);
        expect(same).toEqual({ ...expected[0], info: { ...expected[0]!.info, isas: expect.anything() } });
        for (const result of [threads, worker]) {
          expect(result?.info).toMatchObject({ backend: 'wasm', threads: 2 });
          expectNear(result);
        }
      },
    );

    it("Cloudflare's workerd: from an import, on one thread", async () => {
      await build({
        absWorkingDir: place,
        entryPoints: ['workerd.mjs'],
        bundle: true,
        format: 'esm',
        conditions: ['workerd'],
        external: ['*.wasm'],
        outfile: join(place, 'worker.js'),
      });
      const parts = ['', '-packed', '-rare', '-training'].map((part) => `relaxed${part}.wasm`);
      for (const file of [...parts, 'simd128-bfloat16.wasm']) {
        await cp(join(folder as string, 'node_modules/simdformer/wasm/dist', file), join(place, file));
      }
      const server = spawn(paths?.workerd as string, ['serve', 'workerd.capnp', '--control-fd=1'], { cwd: place });
      try {
        const port = await portOf(server);
        const ask = async (options: object): Promise<Result> => {
          const response = await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body: JSON.stringify([options]) });
          return ((await response.json()) as Result[])[0]!;
        };
        for (const options of [{}, { threads: 2 }, { backend: 'auto' }]) {
          const result = await ask(options);
          expect(result.info).toMatchObject({ backend: 'wasm', isa: 'relaxed', threads: 1 });
          expectNear(result);
        }
        expect(await ask({ isa: 'simd128' })).toMatch(/^DeviceError: .*only the engine for 'relaxed'/);
        expect(await ask({ worker: true })).toMatch(/^DeviceError: .*no workers/);
      } finally {
        server.kill();
        await once(server, 'exit');
      }
    });
  });
}

/** Port of a workerd that starts. */
async function portOf(server: ChildProcess): Promise<number> {
  let complaints = '';
  server.stderr?.on('data', (data) => {
    complaints += data;
  });
  for await (const line of createInterface({ input: server.stdout! })) {
    const { event, port } = JSON.parse(line);
    if (event === 'listen') return port;
  }
  throw new Error(`workerd does not listen: ${complaints}`);
}
