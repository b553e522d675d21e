import { expect, it } from 'vitest';
import { ApiError } from '../../src/server/errors.js';
import { ResponseStore } from '../../src/server/responses-api/response-store.js';

it('forgets the oldest conversations when its memory is full', () => {
  const store = new ResponseStore(1000);
  const kept = { messages: [{ role: 'user', content: 'x'.repeat(230) }], response: {}, input: [] };
  for (let i = 0; i < 100; i++) store.add(`resp_${i}`, 'me', kept);
  const known = Array.from({ length: 100 }, (_, i) => i).filter((i) => {
    try {
      return store.get(`resp_${i}`, 'me') === kept;
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      return false;
    }
  });
  expect(known).toEqual([97, 98, 99]);
  expect(() => store.get('resp_99', 'another')).toThrow(/not kept/);
  expect(() => store.delete('resp_99', 'another')).toThrow(/not kept/);
  store.delete('resp_99', 'me');
  expect(() => store.get('resp_99', 'me')).toThrow(/not kept/);
  store.add('resp_100', 'me', kept); // there is room for it
  expect(store.get('resp_97', 'me')).toBe(kept);
});
