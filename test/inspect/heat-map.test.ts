import { expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { renderHeatMap } from '../../src/inspect/heat-map.js';

it('draws weights as shades under their labels', () => {
  const drawn = renderHeatMap([0, 0.5, 1, 0.25, 0, 0], { rows: ['HH', 'AH'], columns: ['h', 'e', 'y'] });
  expect(drawn.split('\n')).toEqual(['   h e y', 'HH   ▒ █', 'AH ░']);
});

it('draws weights as colours', () => {
  const drawn = renderHeatMap([0, 1], { rows: ['a'], columns: ['x', 'y'], color: true });
  expect(drawn).toContain('\u001b[48;5;16m  \u001b[0m\u001b[48;5;230m  \u001b[0m');
});

it('refuses weights that do not fill it', () => {
  expect(() => renderHeatMap([1, 2], { rows: ['a'], columns: ['x'] })).toThrow(ArgumentError);
});
