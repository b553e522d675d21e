// Callers without types: functions that take a model or a tokenizer name what they were given.

import { expect, it } from 'vitest';
import { constrain } from '../../src/constrain/index.js';
import * as finetune from '../../src/finetune/index.js';
import { ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import { ArgumentError } from '../../src/index.js';
import { modelCost, trace } from '../../src/inspect/index.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { Chat } from '../../src/tasks/index.js';
import { freeze, unfreeze } from '../../src/train/index.js';

const calls: Record<string, (model: never) => unknown> = {
  Chat: (model) => new Chat(model),
  ContinuousBatching: (model) => new ContinuousBatching(model),
  PromptCache: (model) => new PromptCache(model),
  constrain: (tokenizer) => constrain(tokenizer, { type: 'json_object' }),
  saveGguf: (model) => saveGguf(model, 'nowhere/x.gguf'),
  modelCost: (model) => modelCost(model),
  trace: (model) => trace(model, [1]),
  freeze: (model) => freeze(model, 'x'),
  unfreeze: (model) => unfreeze(model, 'x'),
  lora: (model) => finetune.lora(model),
  embedTexts: (model) => finetune.embedTexts(model, ['a']),
  classify: (model) => finetune.classify(model, [{ text: 'a' }]),
  encodeChat: (model) => finetune.encodeChat(model, []),
  evaluateCausal: (model) => finetune.evaluateCausal(model, []),
  evaluateMasked: (model) => finetune.evaluateMasked(model, []),
  CausalLanguageModel: (model) => new finetune.CausalLanguageModel(model),
  SequenceClassification: (model) => new finetune.SequenceClassification(model),
  SequenceToSequence: (model) => new finetune.SequenceToSequence(model),
};

it.each(Object.entries(calls))('%s names a value that is not a model', async (_, call) => {
  for (const [value, shown] of [
    [null, 'null'],
    [undefined, 'undefined'],
    [3, '3'],
    ['model', '"model"'],
    [{}, 'an object'],
    [[], 'an array'],
  ] as const) {
    const error = await Promise.resolve()
      .then(() => call(value as never))
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toMatch(new RegExp(`the (model|tokenizer) is ${shown}.*, expected `));
  }
});
