// Hosts of a network as namespaces of this machine (`ip netns`; root only), and jobs of Open MPI on them.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Link {
  /** Bandwidth of each host in both directions; 0 for no limit. */
  readonly bitsPerSecond: number;
  /** One way. */
  readonly seconds: number;
}

const SUBNET = '10.77.0';
const ip = (...args: readonly (string | number)[]) => execFileSync('ip', args.map(String), { stdio: 'pipe' });

/** Some hosts that are joined by links. */
export class Network {
  readonly #folder = mkdtempSync(join(tmpdir(), 'simdformer-network-'));
  #link: ChildProcess | undefined;

  constructor(private readonly hosts: number) {}

  async open({ bitsPerSecond, seconds }: Link): Promise<void> {
    this.#clear(); // removes leftovers of a killed run
    const program = join(this.#folder, 'link');
    execFileSync('g++', ['-O2', '-std=c++20', fileURLToPath(new URL('link.cc', import.meta.url)), '-o', program]);
    const args = [this.hosts, bitsPerSecond, seconds].map(String);
    this.#link = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(this.#link.stdout as NodeJS.ReadableStream, 'data');
    for (let i = 0; i < this.hosts; i++) {
      const [host, device] = [`host${i + 1}`, `rank${i}`];
      ip('netns', 'add', host);
      ip('link', 'set', device, 'netns', host);
      ip('-n', host, 'link', 'set', device, 'address', `02:00:00:00:00:0${i + 1}`);
      ip('-n', host, 'addr', 'add', `${SUBNET}.${i + 1}/24`, 'dev', device);
      ip('-n', host, 'link', 'set', device, 'up');
      ip('-n', host, 'link', 'set', 'lo', 'up');
    }
    const within = 'exec ip netns exec host$n unshare --uts sh -c "hostname host$n; $*"';
    writeFileSync(join(this.#folder, 'agent'), `#!/bin/sh\nn=\${1#host}\nshift\n${within}\n`, { mode: 0o755 });
  }

  /** Starts a program on each host as a rank; resolves with what rank 0 has printed. */
  async run(command: readonly string[]): Promise<string> {
    const hosts = Array.from({ length: this.hosts }, (_, i) => `host${i + 1}:1`);
    const settings = {
      plm_rsh_agent: join(this.#folder, 'agent'),
      pml: 'ob1',
      btl: 'self,tcp',
      btl_tcp_if_include: `${SUBNET}.0/24`,
    };
    const mca = Object.entries(settings).flatMap(([name, value]) => ['--mca', name, value]);
    const launcher = ['mpirun.openmpi', '--allow-run-as-root', '--host', hosts.join(), ...mca];
    const exported = ['SIMDFORMER_MPI', 'PATH'].flatMap((name) => ['-x', name]);
    const all = ['netns', 'exec', 'host1', 'unshare', '--uts', 'sh', '-c', 'hostname host1; exec "$@"', 'sh'];
    const args = [...all, ...launcher, ...exported, '-n', `${this.hosts}`, ...command];
    return printed('ip', args);
  }

  close(): void {
    this.#link?.kill();
    this.#clear();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #clear(): void {
    for (let i = 0; i < this.hosts; i++)
      try {
        ip('netns', 'del', `host${i + 1}`);
      } catch {} // is not there
  }
}

/** The output of a job. Throws if the job fails. */
export async function printed(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`ranks: the job ended with code ${code}`);
  return text;
}
