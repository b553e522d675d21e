import { contiguous } from '../../src/ops/index.js';
import { describeOp, edges } from '../describe-op.js';

describeOp({
  name: 'contiguous',
  cases: edges().map((cols) => ({ rows: 3, cols })),
  inputs: ({ rows, cols }, random) => ({ x: random.normal([rows, cols + 2]) }),
  forward: ({ x }, { cols }) => contiguous(x.columns(1, 1 + cols)),
  reference({ x }, { rows, cols }) {
    const data = x.data.filter((_, i) => i % (cols + 2) > 0 && i % (cols + 2) <= cols);
    return { shape: [rows, cols], data };
  },
  gradients: ['x'],
});
