import { Linear } from './linear.js';
import type { StateNames } from './state-names.js';

/** A convolution of one tap: a projection of each row, stored with the shape of torch.nn.Conv1d, [out, in, 1]. */
export class PointwiseConv extends Linear {
  protected override get stateNames(): StateNames {
    return { weight: { name: 'weight', trailing: 1 } };
  }
}
