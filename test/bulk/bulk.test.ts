// Bulk inference over a real Redis, with workers that are killed.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type BulkTask,
  collect,
  createWorker,
  type GeneratedOutput,
  submit,
  transformerTask,
} from '../../src/bulk/index.js';
import { ArgumentError, createDevice, type Device, Transformer } from '../../src/index.js';
import { argumentsOf, simdformer } from '../cli/run-cli.js';
import { describeWith } from '../equipment.js';

const WORKER = fileURLToPath(new URL('../../build/tests/bulk-worker.js', import.meta.url));

const free = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

describeWith(['Redis'], 'bulk inference', () => {
  let folder: string;
  let port: number;
  let redis: string;
  let server: ChildProcess;
  let device: Device;
  let model: Transformer;
  const words = readFileSync('README.md', 'utf8')
    .match(/[a-z]{3,10}/g)!
    .slice(0, 400);

  const startRedis = async () => {
    const settings = [
      '--port',
      `${port}`,
      '--dir',
      folder,
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
      '--save',
      '',
    ];
    server = spawn('redis-server', settings, { stdio: 'ignore' });
    const client = new Redis(redis, { retryStrategy: () => 50, maxRetriesPerRequest: null });
    client.on('error', () => {});
    while ((await client.ping().catch(() => '')) !== 'PONG') await sleep(20);
    client.disconnect();
  };
  const stopRedis = async () => {
    server.kill('SIGKILL');
    await once(server, 'close');
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simdformer-bulk-'));
    port = await free();
    redis = `redis://127.0.0.1:${port}`;
    await startRedis();
    device = await createDevice({ threads: 1 });
    model = await Transformer.load(device, 'models/g2p-en');
  });

  afterAll(async () => {
    device?.dispose();
    if (server) await stopRedis();
    await rm(folder, { recursive: true, force: true });
  });

  /** Results of one process. */
  const expected = async (inputs: readonly string[]) =>
    (await transformerTask(model).run(inputs)).map((result) => ({ result }));

  const all = async (inputs: readonly unknown[], queue: string) => {
    const given = [];
    for await (const each of collect(inputs, { redis, queue })) given.push(each);
    return given;
  };

  // BullMQ finds the jobs of a killed worker after 30 seconds, and each new worker loads the package.
  it('does each job once, even if workers are killed and Redis restarts', async () => {
    const queue = 'killed';
    expect(await submit(words, { redis, queue })).toBe(words.length);
    expect(await submit(words, { redis, queue })).toBe(words.length); // adds nothing
    const start = () => spawn(process.execPath, [WORKER, redis, queue], { stdio: ['ignore', 'pipe', 'ignore'] });
    const workers = [start(), start()];
    const ready = (worker: ChildProcess) => once(worker.stdout as NodeJS.ReadableStream, 'data');
    let begun = workers.map(ready);
    await Promise.all(begun);
    for (let kill = 0; kill < 3; kill++) {
      const victim = workers.shift() as ChildProcess;
      victim.kill('SIGKILL');
      workers.push(start());
      begun = [...begun.slice(1), ready(workers.at(-1) as ChildProcess)];
      if (kill === 1) {
        await stopRedis();
        await startRedis();
      }
      await sleep(700);
    }
    expect(await all(words, queue)).toEqual(await expected(words));
    const jobs = new Queue(queue, { connection: { port } });
    expect(await jobs.getJobCounts('completed', 'failed', 'waiting', 'active')).toEqual({
      completed: words.length,
      failed: 0,
      waiting: 0,
      active: 0,
    });
    await jobs.close();
    await Promise.all(begun); // workers listen for signals only from then on
    for (const worker of workers) worker.kill('SIGTERM');
    const codes = await Promise.all(workers.map(async (worker) => (await once(worker, 'close'))[0] as number | null));
    expect(codes).toEqual([0, 0]);
  });

  it('fails only the bad job of a batch, and immediately if its input is invalid', async () => {
    const queue = 'poisoned';
    const runs: string[][] = [];
    const task: BulkTask<string, string> = {
      name: 'run',
      cost: (input) => input.length,
      async run(inputs) {
        runs.push([...inputs]);
        if (inputs.includes('wrong')) throw new ArgumentError('wrong it is');
        if (inputs.includes('unlucky')) throw new Error('bad luck');
        return inputs.map((input) => input.toUpperCase());
      },
    };
    const inputs = ['a', 'wrong', 'b', 'unlucky', 'c'];
    const worker = await createWorker({ redis, queue, task, linger: 1000 });
    await submit(inputs, { redis, queue, attempts: 2 });
    expect(await all(inputs, queue)).toEqual([
      { result: 'A' },
      { error: 'wrong it is' },
      { result: 'B' },
      { error: 'bad luck' },
      { result: 'C' },
    ]);
    await worker.close();
    expect(runs[0]).toEqual(inputs); // in one batch
    const alone = runs.filter((run) => run.length === 1).flat();
    expect(alone.filter((input) => input === 'wrong')).toHaveLength(1);
    expect(alone.filter((input) => input === 'unlucky')).toHaveLength(2);
  });

  it('takes at most two batches of long jobs, and leaves the others', async () => {
    const queue = 'long';
    const task: BulkTask<string, string> = {
      name: 'run',
      cost: ({ length }) => length,
      async run(inputs) {
        await sleep(50);
        return inputs;
      },
    };
    const long = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(100));
    await submit([...long, ...words], { redis, queue });
    const jobs = new Queue(queue, { connection: { port } });
    const worker = await createWorker({ redis, queue, task, batchTokens: 300 });
    await expect.poll(() => jobs.getCompletedCount()).toBeGreaterThan(16); // the worker has learnt from these that words are short
    const held: number[] = [];
    for (let done = 0; done < 50; done = await jobs.getCompletedCount()) held.push(await jobs.getActiveCount());
    expect(Math.max(...held)).toBeLessThanOrEqual(6);
    await expect.poll(() => jobs.getActiveCount(), { timeout: 10_000 }).toBeGreaterThan(60); // so it takes more of them at once
    await Promise.all([worker.close(), jobs.close()]);
  });

  it('supports passwords, databases, TLS and clusters', async () => {
    const [plain, secure, inCluster] = [await free(), await free(), await free()];
    const files = { key: join(folder, 'key.pem'), certificate: join(folder, 'certificate.pem') };
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const made = ['-keyout', files.key, '-out', files.certificate];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...made, ...subject], {
      stdio: 'ignore',
    });
    const certificates = [
      '--tls-cert-file',
      files.certificate,
      '--tls-key-file',
      files.key,
      '--tls-auth-clients',
      'no',
    ];
    const servers = [
      ['--port', `${plain}`, '--requirepass', 'a/b@c', '--tls-port', `${secure}`, ...certificates],
      [
        '--port',
        `${inCluster}`,
        '--cluster-enabled',
        'yes',
        '--cluster-announce-ip',
        '127.0.0.1',
        '--dir',
        folder,
        '--cluster-config-file',
        'nodes.conf',
      ],
    ].map((settings) => spawn('redis-server', [...settings, '--save', ''], { stdio: 'ignore' }));
    const task = transformerTask(model);
    const does = async (url: string, queue = 'names') => {
      const worker = await createWorker({ redis: url, queue, task });
      await submit(['wood'], { redis: url, queue });
      for await (const each of collect(['wood'], { redis: url, queue }))
        expect(each).toMatchObject({ result: { output: 'W UH D' } });
      await worker.close();
    };
    await does(`redis://:a%2Fb%40c@localhost:${plain}`);
    await does(`redis://default:a%2Fb%40c@localhost:${plain}/3`);
    const secured = `rediss://:a%2Fb%40c@localhost:${secure}`;
    await expect(createWorker({ redis: secured, queue: 'q', task })).rejects.toThrow(
      /cannot use the Redis.*certificate/,
    );
    const trusted = {
      host: 'localhost',
      port: secure,
      password: 'a/b@c',
      tls: { ca: readFileSync(files.certificate) },
    };
    const worker = await createWorker({ redis: trusted, queue: 'q', task });
    expect(await submit(['wood'], { redis: trusted, queue: 'q' })).toBe(1);
    await expect.poll(() => countOf({ ...trusted }, 'q')).toBe(1);
    await worker.close();
    for (const [url, reason] of [
      [`redis://:wrong@localhost:${plain}`, /cannot use the Redis at redis:\/\/localhost:\d+: WRONGPASS/],
      [`redis://localhost:${plain}`, /NOAUTH/],
      [`redis://:a/b@c@localhost:${plain}`, /'redis:\/\/localhost:\d+' is not a redis:.*%2F/],
    ] as const)
      await expect(createWorker({ redis: url, queue: 'q', task })).rejects.toThrow(reason);
    execFileSync('redis-cli', ['-p', `${inCluster}`, 'cluster', 'addslotsrange', '0', '16383'], { stdio: 'ignore' });
    const cluster = `redis://127.0.0.1:${inCluster}`;
    const isUp = () => execFileSync('redis-cli', ['-p', `${inCluster}`, 'cluster', 'info'], { encoding: 'utf8' });
    await expect.poll(isUp, { timeout: 10_000 }).toContain('cluster_state:ok');
    await does(cluster, '{names}');
    await does(`${cluster},127.0.0.1:${inCluster}`, '{others}');
    await expect(submit(['a'], { redis: cluster, queue: 'q' })).rejects.toThrow(/write its name in braces, '{q}'/);
    for (const server of servers) server.kill();
    await Promise.all(servers.map((server) => once(server, 'close')));
  });

  const countOf = async (connection: object, queue: string) => {
    const jobs = new Queue(queue, { connection });
    const count = await jobs.getCompletedCount();
    await jobs.close();
    return count;
  };

  it('reads and writes files on the command line, and can be stopped at any time', async () => {
    const queue = 'lines';
    const some = words.slice(0, 40);
    const [file, out] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
    const lines = some.map((word, i) => JSON.stringify(i % 2 ? word : { text: word }));
    writeFileSync(file, `${lines.join('\n')}\n`);
    const where = ['--queue', queue, '--redis', redis];
    expect((await simdformer(['collect', file, ...where])).stderr).toContain('input 0 is not in the queue lines');
    const submitted = await simdformer(['submit', file, ...where]);
    expect(submitted.code, submitted.stderr).toBe(0);
    const worker = simdformer(['worker', '--model', 'g2p-en', ...where], { interruptAt: /Waiting/, signal: 'SIGTERM' });
    expect(await worker).toMatchObject({ code: 0 }); // it was told to stop before its first job
    const again = spawn(process.execPath, argumentsOf(['worker', '--model', 'g2p-en', ...where]));
    const collected = await simdformer(['collect', file, '--out', out, ...where]);
    expect(collected.code, collected.stderr).toBe(0);
    const whole = readFileSync(out, 'utf8');
    const results = whole
      .trim()
      .split('\n')
      .map((line) => ({ result: (JSON.parse(line) as { result: unknown }).result }));
    expect(results).toEqual(await expected(some));
    for (const length of [10, whole.length - 1]) {
      writeFileSync(out, whole.slice(0, length));
      expect((await simdformer(['collect', file, '--out', out, ...where])).code).toBe(0);
      expect(readFileSync(out, 'utf8')).toBe(whole);
    }
    again.kill('SIGTERM');
    expect((await once(again, 'close'))[0]).toBe(0);
  });

  // These tests mostly wait, each on queues of its own.
  describe.concurrent('meanwhile', () => {
    it('reports progress, and keeps its locks, while a batch runs', async ({ expect }) => {
      const queue = 'slow';
      let runs = 0;
      const task: BulkTask<string, string> = {
        name: 'run',
        cost: () => 1,
        async run(inputs, onProgress) {
          runs++; // The lock must be renewed, because the batch takes longer. A busy machine may be late by a second.
          await sleep(2500);
          onProgress?.(50);
          await sleep(2500);
          return inputs;
        },
      };
      const options = { redis, queue, task, progressEvery: 0, worker: { lockDuration: 3000, stalledInterval: 1000 } };
      const workers = [await createWorker(options), await createWorker(options)];
      const events = new QueueEvents(queue, { connection: { port } });
      const told: unknown[] = [];
      events.on('progress', ({ data }) => told.push(data));
      await events.waitUntilReady();
      await submit(['a'], { redis, queue });
      expect(await all(['a'], queue)).toEqual([{ result: 'a' }]);
      expect(runs).toBe(1);
      await expect.poll(() => told).toEqual([0, 50]);
      await Promise.all([...workers.map((worker) => worker.close()), events.close()]);
    });

    it('waits for an unreachable Redis, and can be closed without it', async ({ expect }) => {
      const away = await free();
      const [queue, task] = ['away', transformerTask(model)];
      const late = createWorker({ redis: `redis://127.0.0.1:${away}`, queue, task });
      const errors: string[] = [];
      const worker = (await late).on('error', ({ message }) => errors.push(message));
      await expect.poll(() => errors.length, { timeout: 5000 }).toBeGreaterThan(1);
      expect(errors[0]).toContain('ECONNREFUSED');
      const there = spawn('redis-server', ['--port', `${away}`, '--save', ''], { stdio: 'ignore' });
      const inputs = ['wood'];
      await submit(inputs, { redis: `redis://127.0.0.1:${away}`, queue });
      for await (const given of collect(inputs, { redis: `redis://127.0.0.1:${away}`, queue }))
        expect(given).toMatchObject({ result: { output: 'W UH D' } });
      there.kill('SIGKILL');
      await once(there, 'close');
      await worker.close();
      await (await createWorker({ redis: `redis://127.0.0.1:${away}`, queue, task })).close(); // it never had a connection
    });

    it('accepts jobs of BullMQ’s own Queue', async ({ expect }) => {
      const queue = 'own';
      const worker = await createWorker({ redis, queue, task: transformerTask(model) });
      const connection = { port };
      const [jobs, events] = [new Queue(queue, { connection }), new QueueEvents(queue, { connection })];
      const job = await jobs.add('any', { task: 'run', input: 'wood' });
      const { output } = (await job.waitUntilFinished(events)) as GeneratedOutput;
      expect(output).toBe('W UH D');
      const other = await jobs.add('any', { task: 'embed', input: 'wood' });
      await expect(other.waitUntilFinished(events)).rejects.toThrow(
        "the job is for 'embed', but this worker does 'run'",
      );
      await Promise.all([worker.close(), jobs.close(), events.close()]);
    });

    it('reports that Redis refuses to write, without a stack', async ({ expect }) => {
      const full = await free();
      const memory = ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'];
      const there = spawn('redis-server', ['--port', `${full}`, '--save', '', ...memory], { stdio: 'ignore' });
      const file = join(folder, 'full.txt');
      writeFileSync(file, '"wood"\n');
      try {
        const url = `redis://127.0.0.1:${full}`;
        const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
        client.on('error', () => {});
        while ((await client.ping().catch(() => '')) !== 'PONG') await sleep(20);
        client.disconnect();
        const { code, stderr } = await simdformer(['submit', file, '--redis', url, '--queue', 'q']);
        expect(code).toBe(1);
        expect(stderr).toMatch(/^simdformer: submit: Redis refuses the command: OOM /m);
        expect(stderr).not.toMatch(/^\s+at /m);
      } finally {
        there.kill();
      }
    });

    it('refuses invalid options with clear errors', async ({ expect }) => {
      const task = transformerTask(model);
      await expect(createWorker({ redis: 'http://a', queue: 'q', task })).rejects.toThrow(/not a redis:/);
      await expect(submit(['a'], { redis: 'redis://127.0.0.1:1', queue: 'q' })).rejects.toThrow(/there is no Redis at/);
      await expect(submit(['a'], { redis, queue: 'q', atempts: 2 } as never)).rejects.toThrow(/atempts/);
      await expect(collect(['a'], { redis, queue: 'q', form: 2 } as never).next()).rejects.toThrow(/form/);
      await expect(createWorker({ redis, queue: 'a:b', task })).rejects.toThrow(/without colons/);
      await expect(createWorker({ redis, queue: 'q', task, lingre: 3 } as never)).rejects.toThrow(/lingre/);
    });
  });
});
