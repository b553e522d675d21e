import { type ChildProcess, spawn } from 'node:child_process';

/** Burns a core for as long as the process that started it lives. */
const BURN = `
  const parent = process.ppid;
  (function burn() {
    for (const end = Date.now() + 100; Date.now() < end; );
    if (process.ppid === parent) setImmediate(burn);
  })();
`;

/** Another process that fully uses a core. It starts when this object is made, and can be stopped and started again. */
export class Burner {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = spawn(process.execPath, ['-e', BURN], { stdio: 'ignore' });
    this.burn(false);
  }

  burn(on: boolean): void {
    this.#child.kill(on ? 'SIGCONT' : 'SIGSTOP');
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
