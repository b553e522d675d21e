import { afterAll, expect, it, vi } from 'vitest';
import { openEngine } from '../../src/backend/wasm.js';
import { wasmEngine } from '../../src/backend/wasm-modules.js';
import { describeWith } from '../equipment.js';

const { startWorker } = vi.hoisted(() => ({ startWorker: vi.fn() }));
vi.mock('../../src/backend/workers.js', () => ({ hasWorkers: true, startWorker }));
vi.resetModules(); // other files of this process may have loaded the module without the mock
const { startThreads } = await import('../../src/backend/wasm-threads.js');
afterAll(() => vi.resetModules());

const start = () => startThreads({ threads: 4 } as never);
const worker = () => ({ post: vi.fn(), keepAlive: vi.fn(), terminate: vi.fn() });

it('if one thread cannot be created, all threads end', async () => {
  const [early, late] = [worker(), worker()];
  startWorker
    .mockResolvedValueOnce(early)
    .mockRejectedValueOnce(new Error('no such script'))
    .mockImplementationOnce(() => new Promise((resolve) => setTimeout(resolve, 10, late)));
  await expect(start()).rejects.toThrow('no such script');
  for (const { terminate } of [early, late]) expect(terminate).toHaveBeenCalledOnce();
});

describeWith(['WebAssembly'], 'an engine', () => {
  it('ends all threads if one does not get its memory', async () => {
    const workers = [worker(), worker(), worker()];
    workers[1]!.post.mockImplementation(() => {
      throw new Error('cannot be cloned');
    });
    await expect(openEngine(await wasmEngine({ threads: 4 }), workers)).rejects.toThrow('cannot be cloned');
    for (const { terminate } of workers) expect(terminate).toHaveBeenCalledOnce();
  });
});
