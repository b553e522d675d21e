// The models, tokenizers and tensors that the calls use.

import * as finetune from '../../src/finetune/index.js';
import * as core from '../../src/index.js';
import * as nn from '../../src/nn/index.js';
import * as tasks from '../../src/tasks/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/index.js';
import { smallModel } from '../tasks/small-model.js';
import { type Given, special } from './call.js';

export type Models = Awaited<ReturnType<typeof openModels>>;

const TEMPLATE = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}';
/** The files of a model of text with a template for conversations. */
export const talking = () => smallModel('llama', {}, { chat_template: TEMPLATE });

/** Opens what several groups of calls share. `close` frees it, and what was kept since. */
export async function openModels() {
  const device = await core.createDevice();
  const closing: (() => unknown)[] = [() => device.dispose()];
  const keep = <Kept extends { dispose(): unknown }>(kept: Kept): Kept => {
    closing.unshift(() => kept.dispose());
    return kept;
  };
  const load = async (name: string, changes: object = {}) =>
    keep(await core.loadModel(device, smallModel(name, changes)));
  const pipe = async (task: tasks.TaskName, model: Parameters<typeof tasks.pipeline>[1]): Promise<Given> =>
    keep(await tasks.pipeline(task, model, { device }));
  const close = async () => {
    for (const each of closing) await each();
  };

  const tokenizer = core.CharTokenizer.train('the cat sat', { special });
  const { vocabSize } = tokenizer;
  const transformer = new core.Transformer(device, {
    dModel: 8,
    heads: 2,
    encoderLayers: 1,
    decoderLayers: 1,
    sourceVocab: vocabSize,
    targetVocab: vocabSize,
  });
  transformer.tokenizers = { source: tokenizer, target: tokenizer };
  const bert = await load('bert-pooler');
  return {
    device,
    keep,
    load,
    pipe,
    close,
    x: device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]),
    ids: device.tensor([0, 1], [2], { dtype: 'int32' }),
    row: device.tensor([1, 2, 3, 4], [4]),
    init: new nn.Initializer(device, 0),
    tokenizer,
    transformer,
    llama: keep(await core.loadModel(device, talking())),
    bert,
    own: bert.tokenizer as PretrainedTokenizer,
    packed: core.quantize(await load('llama'), { weights: 'int8' }),
    masked: await load('bert-mlm'),
    tagger: await load('bert-token'),
    t5: await load('t5'),
    ranker: await load('bert-regression'),
    classification: new finetune.SequenceClassification(await load('bert-sequence')),
  };
}
