// The example that finds captions by what they mean, with fewer of them.
import { describe, expect, it } from 'vitest';
import { readCaptions, searchable } from '../../examples/semantic-search.js';
import { pipeline } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';

describeReal('all-MiniLM-L6-v2', async (path) => {
  describe('a search', () => {
    it('finds captions of what is asked in other words', async () => {
      await using extract = await pipeline('feature-extraction', path);
      const captions = readCaptions(400);
      const search = await searchable(extract, captions);
      const [best, second] = await search('a kid goes down a slide', 2);
      expect(best!.text).toMatch(/slide/);
      expect(best!.score).toBeGreaterThan(second!.score);
      const [music] = await search('people make music');
      expect(music!.text).toMatch(/band|guitar|sing|instrument|music|drum|perform/);
      const [exact] = await search(captions[7]!, 1);
      expect(exact).toMatchObject({ text: captions[7] });
      expect(exact!.score).toBeCloseTo(1, 5);
    });
  });
});
