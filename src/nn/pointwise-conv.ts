import { Linear } from './linear.js';
import type { StateNames } from './state-names.js';

/**
 * A convolution of kernel size 1, which is a projection of each row. State dicts store its weight as torch.nn.Conv1d
 * does, [out, in, 1].
 */
export class PointwiseConv extends Linear {
  protected override get stateNames(): StateNames {
    return { weight: { name: 'weight', trailing: 1 } };
  }
}
