import { afterAll, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

const { platform } = process;
const returnsMemory = device.info.backend === 'native' && platform === 'linux';
const rss = () => process.memoryUsage().rss;
const reason = returnsMemory ? '' : ': not tested, only the addon on Linux does';

async function waitForReturn(before: number): Promise<void> {
  for (let wait = 0; wait < 100 && rss() - before > 60e6; wait++)
    await new Promise((resolve) => setTimeout(resolve, 200));
  expect(rss() - before).toBeLessThan(60e6);
}

it.runIf(returnsMemory)(
  `returns free memory to the system when it is idle, and can use it again${reason}`,
  async () => {
    const before = rss();
    const size = 2 ** 26; // 256 MiB
    const [kept, large] = [device.full([8], 3), device.full([size], 1)];
    await device.flush();
    expect(rss() - before).toBeGreaterThan(200e6);
    large.dispose();
    await waitForReturn(before);
    expect([...kept.dataSync()]).toEqual(Array(8).fill(3));
    const again = device.full([size], 2);
    await device.flush();
    const [first, last] = [again.rows(0, 4), again.rows(size - 4, size)];
    expect([...first.dataSync(), ...last.dataSync()]).toEqual(Array(8).fill(2));
  },
  60_000,
);

it.runIf(returnsMemory)(
  `returns free memory also if commands are still queued${reason}`,
  async () => {
    const before = rss();
    const large = device.full([2 ** 26], 1);
    await device.flush();
    const queued = device.full([8], 5);
    large.dispose();
    await waitForReturn(before);
    expect([...queued.dataSync()]).toEqual(Array(8).fill(5));
  },
  60_000,
);
