// The axes and colours of charts beside d3's.
import { scaleLinear } from 'd3-scale';
import { interpolateViridis } from 'd3-scale-chromatic';
import { expect, it } from 'vitest';
import { axis } from '../../src/inspect/axis.js';
import { viridis } from '../../src/inspect/viridis.js';
import { Random } from '../random.js';

it('has the round numbers and pixels of d3-scale', () => {
  const from = new Random('axis');
  const next = () => from.next();
  for (let i = 0; i < 2000; i++) {
    const min = (next() - 0.5) * 10 ** Math.floor(next() * 12 - 6);
    const max = min + (next() + 1e-3) * 10 ** Math.floor(next() * 12 - 6);
    const ours = axis([min, max], [56, 696]);
    const theirs = scaleLinear([min, max], [56, 696]).nice();
    expect(ours.ticks(6), `${min} to ${max}`).toEqual(theirs.ticks(6));
    expect(ours((min + max) / 2)).toBeCloseTo(theirs((min + max) / 2), 6);
  }
});

it('has the colours of d3-scale-chromatic', () => {
  for (let value = -0.1; value <= 1.1; value += 1 / 700) expect(viridis(value)).toBe(interpolateViridis(value));
});
