// A few random compositions of ops on every instruction set, against float64. `npm run differential` computes many.
import { describe, expect, it } from 'vitest';
import { deviceFor, isas } from '../describe-op.js';
import { compose, describe as describeComposition, runOn, wrong } from './composition.js';

const compositions = Array.from({ length: 40 }, (_, n) => compose(`test ${n}`));

describe('random compositions', () => {
  it.each(isas)('have the values and slopes of float64 on %s', async (isa) => {
    const device = await deviceFor(isa, 1);
    const problems = compositions.flatMap((composition) => {
      const problem = wrong(composition, runOn(device, composition));
      return problem === null ? [] : [`${describeComposition(composition)}: ${problem}`];
    });
    expect(problems).toEqual([]);
  });

  it('are found wrong if a value or a gradient is', async () => {
    const device = await deviceFor(isas[0] as string, 1);
    for (const composition of compositions) {
      const { result, gradients } = runOn(device, composition);
      const far = Array.from(result, (value, i) => value + (i === 0 ? 3 * (composition.allowed[0] as number) : 0));
      expect(wrong(composition, { result: far, gradients })).toMatch(/^value 0/);
      const turned = gradients.map((gradient) => gradient && Array.from(gradient, (value) => 2 * value));
      if (Math.abs(composition.slope) > 1) expect(wrong(composition, { result, gradients: turned })).toMatch(/slope/);
    }
  });

  it('have the same bits for one thread and three', async () => {
    const [one, three] = [await deviceFor(isas[0] as string, 1), await deviceFor(isas[0] as string, 3)];
    for (const composition of compositions) expect(runOn(three, composition)).toEqual(runOn(one, composition));
  });
});
