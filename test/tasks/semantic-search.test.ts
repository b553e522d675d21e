// The example that finds captions by their meaning, with a few captions.
import { expect, it } from 'vitest';
import { searchable } from '../../examples/semantic-search.js';
import { pipeline } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';

const captions = [
  'Two men stand at a stove and prepare food.',
  'A little girl climbs the stairs of a playhouse.',
  'A boy in a red shirt is coming down a slide.',
  'A dog runs through the snow with a stick in its mouth.',
  'Three women in traditional dresses play violins on a stage.',
  'A man on a bicycle waits at a traffic light.',
  'Workers in yellow vests repair a railway.',
  'A crowd watches a football match from the stands.',
];

describeReal('all-MiniLM-L6-v2', (path) => {
  it('finds captions with the same meaning in other words', async () => {
    await using extract = await pipeline('feature-extraction', path);
    const search = await searchable(extract, captions);
    const [best, second] = await search('a kid goes down a slide', 2);
    expect(best!.text).toBe(captions[2]);
    expect(best!.score).toBeGreaterThan(second!.score);
    const [music] = await search('people make music');
    expect(music!.text).toBe(captions[4]);
    const [exact] = await search(captions[7]!, 1);
    expect(exact).toMatchObject({ text: captions[7] });
    expect(exact!.score).toBeCloseTo(1, 5);
  });
});
