import { type ChildProcess, spawn } from 'node:child_process';

/** Another process that wants a core for itself: at once when it is made, and then on demand. */
export class Burner {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
    process.once('exit', () => this.#child.kill('SIGKILL'));
    this.burn(false);
  }

  burn(on: boolean): void {
    this.#child.kill(on ? 'SIGCONT' : 'SIGSTOP');
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
