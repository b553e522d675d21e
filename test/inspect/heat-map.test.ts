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

it('draws large matrices', () => {
  const [rows, columns] = [Array<string>(130).fill('a'), Array<string>(1000).fill('x')];
  const weights = new Float32Array(130_000).fill(1);
  expect(renderHeatMap(weights, { rows, columns }).split('\n')).toHaveLength(131);
});

it('refuses weights that do not fill it, and invalid ones', () => {
  expect(() => renderHeatMap([1, 2], { rows: ['a'], columns: ['x'] })).toThrow(ArgumentError);
  for (const color of [false, true]) {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const draw = () => renderHeatMap([0, 1, 2, wrong], { rows: ['a', 'b'], columns: ['x', 'y'], color });
      expect(draw).toThrow(ArgumentError);
      expect(draw).toThrow(`the weight of row 1, column 1 is ${wrong}, expected a finite number`);
    }
  }
});
