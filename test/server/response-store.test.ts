import { expect, it } from 'vitest';
import { ApiError } from '../../src/server/errors.js';
import { ResponseStore } from '../../src/server/response-store.js';

it('forgets the oldest conversations when its memory is full', () => {
  const store = new ResponseStore(1000);
  const messages = [{ role: 'user', content: 'x'.repeat(270) }];
  for (let i = 0; i < 100; i++) store.add(`resp_${i}`, 'me', messages);
  const kept = Array.from({ length: 100 }, (_, i) => i).filter((i) => {
    try {
      return store.get(`resp_${i}`, 'me') === messages;
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      return false;
    }
  });
  expect(kept).toEqual([97, 98, 99]);
  expect(() => store.get('resp_99', 'another')).toThrow(/not kept/);
});
