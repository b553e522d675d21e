// Calls of what trains and measures models, and of what runs them on several machines.

import { collect, createWorker, submit, transformerTask } from '../../src/bulk/index.js';
import { atOnce } from '../../src/core/slices.js';
import * as finetune from '../../src/finetune/index.js';
import * as core from '../../src/index.js';
import { curvesSvg, heatMapGridSvg, modelCost, renderHeatMap } from '../../src/inspect/index.js';
import { bleu, chrf, f1 } from '../../src/metrics/index.js';
import { mpi } from '../../src/mpi/index.js';
import { openai, serve } from '../../src/server/index.js';
import * as train from '../../src/train/index.js';
import { type Call, type Calls, call, each, type Given } from './call.js';
import type { Models } from './models.js';

/** Calls of optimizers and training loops. */
export function trainCalls({ transformer, init }: Models): Calls {
  const optimizer = (kind: Given) => new kind([init.normal([2, 2], 1)]);
  const step = (kind: Given) => call((options) => optimizer(kind).step(options));
  const fitting = { steps: 1, batchSize: 1 };
  return {
    'new AdamW': call((options) => new core.AdamW([init.normal([2, 2], 1)], options)),
    'AdamW#step': step(core.AdamW),
    'Optimizer#step': step(core.AdamW),
    'AdamW#advance': call((options) => optimizer(core.AdamW).advance(options)),
    'AdamW#apply': call((options) => optimizer(core.AdamW).apply(options)),
    'new Adafactor': call((options) => new train.Adafactor([init.normal([2, 2], 1)], options)),
    'Adafactor#step': step(train.Adafactor),
    'new Lion': call((options) => new train.Lion([init.normal([2, 2], 1)], options)),
    'Lion#step': step(train.Lion),
    'new SGD': call((options) => new train.SGD([init.normal([2, 2], 1)], options)),
    'SGD#step': step(train.SGD),
    fit: call((options) => core.fit(transformer, [{ source: [1], target: [1] }] as never, options), fitting, {
      earlyStopping: { metric: 'loss', patience: 1 },
    }),
    linearDecay: call((options) => core.linearDecay(1, options), { steps: 9 }),
    cosine: call((options) => train.cosine(1, options), { steps: 9 }),
    constant: call((options) => train.constant(1, options)),
    inverseSquareRoot: call((options) => train.inverseSquareRoot(1, options)),
    noam: call((options) => train.noam(8, options)),
    layerwiseGroups: call((options) => train.layerwiseGroups(transformer, options), { lr: 1, decay: 0.5 }),
    lengthBatches: call((options) => train.lengthBatches([{ source: [1], target: [1] }] as never, options)),
    shuffledBatches: call((options) => train.shuffledBatches([1, 2], options), { size: 1 }),
    windowBatches: call((options) => train.windowBatches([1, 2, 3, 4], options), { blockSize: 2, batchSize: 1 }),
    streamBatches: call((options) => train.streamBatches([] as never, options)),
  };
}

/** Calls of objectives, adapters and evaluations. */
export async function finetuneCalls({
  load,
  x,
  row,
  llama,
  bert,
  packed,
  masked,
  tagger,
  t5,
  classification,
}: Models): Promise<Calls> {
  const adapter = finetune.lora(await load('llama'), { r: 2 });
  const adapters = (run: Call['run']) => call(run, { targets: ['q_proj'], r: 2 });
  const rows = [{ text: 'the cat', label: 0 }] as never[];
  return {
    'Objective#lossOf': call((options) => classification.lossOf([{ text: 'a', label: 0 }] as never, options)),
    loadLora: call((options) => finetune.loadLora(llama, './none', options)),
    lora: adapters((options) => finetune.lora(llama, options).dispose()),
    'new Lora': adapters((options) => finetune.lora(llama, options).dispose()),
    'Lora#save': call((options) => adapter.save('/dev/null/none', options)),
    'Lora#toFiles': call((options) => adapter.toFiles(options)),
    'new CausalLanguageModel': call((options) => new finetune.CausalLanguageModel(llama, options)),
    'CausalLanguageModel#lossOfInParts': call((options) =>
      atOnce(new finetune.CausalLanguageModel(llama).lossOfInParts([{ text: 'the cat' }] as never, options)),
    ),
    'CausalLanguageModel#lossOf': call((options) =>
      new finetune.CausalLanguageModel(llama).lossOf([{ text: 'the cat' }] as never, options),
    ),
    'new Distillation': call((options) => new finetune.Distillation(classification, bert, options)),
    'new Embeddings': call((options) => new finetune.Embeddings(bert, options)),
    'new MaskedLanguageModel': call((options) => new finetune.MaskedLanguageModel(masked, options)),
    'new Preference': call((options) => new finetune.Preference(llama, options), { reference: packed }),
    embedTexts: call((options) => finetune.embedTexts(bert, ['a'], options)),
    classify: call((options) => finetune.classify(classification.model, rows, options)),
    evaluateClassification: call((options) => finetune.evaluateClassification(classification.model, rows, options)),
    evaluateCausal: call((options) => finetune.evaluateCausal(llama, rows, options)),
    evaluateEmbeddings: call((options) =>
      finetune.evaluateEmbeddings(bert, [{ text: 'a', pair: 'cat', score: 1 }] as never[], options),
    ),
    evaluateMasked: call((options) => finetune.evaluateMasked(masked, rows, options)),
    evaluateTokens: call((options) =>
      finetune.evaluateTokens(tagger, [{ words: ['the'], labels: ['O'] }] as never[], options),
    ),
    evaluateSequenceToSequence: call((options) =>
      finetune.evaluateSequenceToSequence(t5, [{ source: 'a', target: 'a' }] as never[], options),
    ),
    contrastiveLoss: call((options) => finetune.contrastiveLoss(x, x, [0, 1], options)),
    distillationLoss: call((options) => finetune.distillationLoss(x, x, options)),
    dpoLoss: call((options) =>
      finetune.dpoLoss({ chosen: row, rejected: row }, { chosen: row, rejected: row }, options),
    ),
    inBatchNegatives: call((options) => finetune.inBatchNegatives(x, x, options)),
    rankedCosineLoss: call((options) => finetune.rankedCosineLoss(x, x, [0, 1], options)),
    tripletLoss: call((options) => finetune.tripletLoss(x, x, x, options)),
    readRows: call((options) => each(finetune.readRows('none.jsonl', options))),
  };
}

/** Calls of scores and pictures. */
export function measuringCalls({ transformer }: Models): Calls {
  return {
    bleu: call((options) => bleu(['a'], ['a'], options)),
    chrf: call((options) => chrf(['a'], ['a'], options)),
    f1: call((options) => f1(['a'], ['a'], options)),
    modelCost: call((options) => modelCost(transformer, options)),
    heatMapGridSvg: call((options) => heatMapGridSvg([{ title: 't', weights: [1] }], options), {
      queries: ['a'],
      keys: ['b'],
    }),
    curvesSvg: call((options) => curvesSvg([{ name: 'c', points: [[0, 1]] }], options), { x: 'step', y: 'loss' }),
    renderHeatMap: call((options) => renderHeatMap([1], options), { rows: ['a'], columns: ['b'] }),
  };
}

/** Calls of servers, queues and messages. */
export function machineCalls({ transformer, llama }: Models): Calls {
  const queue = { queue: 'simdformer-test', redis: 'redis://localhost:1' };
  return {
    mpi: call(mpi),
    collect: call((options) => each(collect([], options)), queue),
    submit: call((options) => submit([], options), queue),
    createWorker: call(createWorker, { ...queue, task: transformerTask(transformer) }),
    transformerTask: call((options) => transformerTask(transformer, options)),
    openai: call(openai, { models: { llama } }),
    serve: call(serve, { models: { llama }, port: 0 }),
  };
}
