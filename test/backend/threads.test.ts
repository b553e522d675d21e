import { afterAll, expect, it, vi } from 'vitest';

const { startWorker } = vi.hoisted(() => ({ startWorker: vi.fn() }));
vi.mock('../../src/backend/workers.js', () => ({ hasWorkers: true, startWorker }));
vi.resetModules(); // other files of this process may have loaded the module without the mock
const { startThreads } = await import('../../src/backend/wasm-threads.js');
afterAll(() => vi.resetModules());

const start = () => startThreads({} as never, {} as never, [1, 2, 3]);
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

it('a thread that does not get its memory ends', async () => {
  const workers = [worker(), worker(), worker()];
  workers[1]!.post.mockImplementation(() => {
    throw new Error('cannot be cloned');
  });
  for (const each of workers) startWorker.mockResolvedValueOnce(each);
  await expect(start()).rejects.toThrow('cannot be cloned');
  for (const { terminate } of workers) expect(terminate).toHaveBeenCalledOnce();
});
