import type { Tensor } from '../../core/tensor.js';
import { Embedding } from '../../nn/embedding.js';
import { type StateNames, withBody } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bert, bert } from './bert.js';

/** ERNIE (Sun et al. 2021, arXiv 2107.02137): BERT with embeddings of the task. All tokens have task 0. */
export class Ernie extends Bert {
  readonly tasks: Embedding | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const size = config.flag('use_task_id') ? config.size('task_type_vocab_size') : 0;
    this.tasks = size > 0 ? new Embedding(init, size, config.size('hidden_size')) : null;
  }

  protected override embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    const tasks = this.tasks?.forward(ids.device.zeros(ids.shape, 'int32'));
    return this.embeddings.forward(ids, positions, types, tasks);
  }

  protected override get bodyName(): string {
    return 'ernie';
  }

  protected override get stateNames(): StateNames {
    return { ...withBody(super.stateNames, 'bert', 'ernie'), tasks: 'ernie.embeddings.task_type_embeddings' };
  }
}

const { gguf: _, ...plain } = bert;

export const ernie: Family = {
  ...plain,
  model: Ernie,
  className: 'Ernie',
  defaults: { ...bert.defaults, task_type_vocab_size: 3, use_task_id: false },
};
