import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { argumentsOf, temporaryFolder } from './run-cli.js';

const COLUMNS = 30;

/** Runs a program on a terminal and prints what it shows there; a signal ends it as soon as it shows how far it is. */
const TERMINAL = `
import fcntl, os, pty, signal, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, ${COLUMNS}, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
shown, told = b'', False
while True:
    try: part = os.read(terminal, 65536)
    except OSError: break # it has ended
    if not part: break
    shown += part
    if told or not (shown.count(b'\\x1b[1G') >= 2 or b' left' in shown): continue
    told = True
    os.kill(pid, getattr(signal, sys.argv[1]))
os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(folder.at('text.txt'), 'to be, or not to be: that is the question.\n'.repeat(20));
  const model = { dModel: 16, heads: 2, dFF: 32, decoderLayers: 1, maxLength: 16, tieEmbeddings: true };
  const task = { task: 'characters', data: folder.at('text.txt'), model, batch: 4, steps: 1e6 };
  await writeFile(folder.at('task.json'), JSON.stringify(task));
});
afterAll(() => folder.remove());

async function shown(signal: NodeJS.Signals, env: NodeJS.ProcessEnv): Promise<string> {
  const args = argumentsOf(['train', folder.at('task.json'), '--overwrite', '-o', folder.at('out')]);
  const command = ['-c', TERMINAL, signal, process.execPath, ...args];
  return (await promisify(execFile)('python3', command, { env: { ...process.env, ...env } })).stdout;
}

describe.runIf(platform() === 'linux')('progress on a terminal', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('fits, and leaves it as it was when %s comes', async (signal) => {
    const text = await shown(signal, { TERM: 'xterm' });
    expect(text).not.toContain('\x1b[?25l'); // hides the cursor
    expect(text).not.toContain('\x1b[?7l'); // cuts long lines
    const drawn = text.split('\x1b[1G').slice(1);
    expect(drawn.length).toBeGreaterThan(1);
    for (const bar of drawn.slice(0, -1)) expect(bar.replaceAll('\x1b[0K', '').length).toBeLessThanOrEqual(COLUMNS);
  });

  it('prints lines if it cannot draw', async () => {
    const text = await shown('SIGTERM', { TERM: 'dumb' });
    expect(text).toMatch(/^step 1\/1000000, smoothed loss /m);
    expect(text).not.toContain('\x1b');
  });
});
