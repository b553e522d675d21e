// Calls of models and tokenizers, and of what generates texts.

import { createSimdformer } from '../../src/ai-sdk/index.js';
import { constrain } from '../../src/constrain/index.js';
import { atOnce } from '../../src/core/slices.js';
import { ContinuousBatching, generate, PromptCache, stream } from '../../src/generate/index.js';
import * as core from '../../src/index.js';
import { SimdformerRerank } from '../../src/langchain/index.js';
import * as nn from '../../src/nn/index.js';
import { loadModel, loadPredictor, newModel, saveGguf } from '../../src/pretrained/index.js';
import { promptApi } from '../../src/prompt-api/index.js';
import * as tokenizers from '../../src/tokenizers/index.js';
import { smallModel } from '../tasks/small-model.js';
import { type Call, type Calls, call, each, messages, reads, special, tools } from './call.js';
import type { Models } from './models.js';

/** Calls of devices, transformers and their interfaces. */
export function transformerCalls({ device, transformer, llama }: Models): Calls {
  const losses = call((options) => transformer.loss([[1]], [[1, 2]], options));
  const counts = call((options) => transformer.countLabels([[1]], [[1, 2]], options));
  const decoding = call((options) => transformer.startDecoding(options));
  return {
    createDevice: call(core.createDevice),
    'Device#tensor': call((options) => device.tensor([1], [1], options)),
    'new Transformer': call(
      (options) => new core.Transformer(device, options),
      {
        dModel: 8,
        heads: 2,
        targetVocab: 5,
        sourceVocab: 5,
        encoderLayers: 1,
        decoderLayers: 1,
      },
      { positions: { kind: 'rotary' } },
    ),
    'Transformer.load': call((options) => core.Transformer.load(device, 'models/none', options)),
    'Transformer#save': call((options) => transformer.save('/dev/null/none', options)),
    'Transformer#toFiles': call((options) => transformer.toFiles(options)),
    'Transformer#loss': losses,
    'Transformer#lossInParts': call((options) => atOnce(transformer.lossInParts([[1]], [[1, 2]], options))),
    'Transformer#countLabels': counts,
    'Trainable#loss': losses,
    'Transformer#generate': call((options) => transformer.generate([[1]], options)),
    'Transformer#stream': call((options) => each(transformer.stream([[1]], options))),
    'Transformer#startDecoding': decoding,
    'Generative#startDecoding': decoding,
    'Transformer#extend': call((options) => llama.extend(llama.startDecoding({}), [[1]], options)),
    'Transformer#extendInParts': call((options) => [...llama.extendInParts(llama.startDecoding({}), [[1]], options)]),
  };
}

/** Calls of what generates. */
export function generationCalls({ llama, keep }: Models): Calls {
  const batching = keep(new ContinuousBatching(llama));
  return {
    generate: call((options) => generate(llama, [[1]], options), {}, reads),
    stream: call((options) => each(stream(llama, [[1]], options)), {}, reads),
    'PretrainedModel#generate': call((options) => llama.generate([[1]], options), {}, reads),
    'PretrainedModel#stream': call((options) => each(llama.stream([[1]], options)), {}, reads),
    'new ContinuousBatching': call((options) => new ContinuousBatching(llama, options)),
    'ContinuousBatching#stream': call(
      (options) => each(batching.stream([1], options)),
      {},
      { responseFormat: { regex: 'a+' } },
    ),
    'new PromptCache': call((options) => new PromptCache(llama, options).dispose()),
    constrain: call((options) => constrain(llama.tokenizer as never, { regex: 'a+' }, options)),
    'PretrainedModel#constrain': call((options) => llama.constrain({ regex: 'a+' }, options)),
  };
}

/** Calls of pretrained models. */
export async function pretrainedCalls({ device, llama, bert, masked, ranker, keep }: Models): Promise<Calls> {
  const nothing = new nn.Stack(0, () => null as never, null);
  const drafting = keep(await loadModel(device, 'test/data/predictor'));
  const m3 = keep(await loadModel(device, 'test/data/formats/sentence/bge-m3'));
  const sparse = { indices: [5], values: [1] } as never;
  const template = { parts: ['{query} {document}'], yes: 'yes' };
  return {
    quantize: call((options) => core.quantize(nothing, options)),
    loadPredictor: call((options) => loadPredictor(drafting, 'test/data/predictor', options)),
    newModel: call((options) => newModel(device, llama.config, options)),
    loadModel: call((options) => core.loadModel(device, smallModel('llama'), options)),
    loadTextModel: call((options) => core.loadTextModel(device, smallModel('llama'), options)),
    'PretrainedModel#forward': call((options) => llama.forward({ inputIds: [[1]] }, options)),
    'PretrainedModel#forwardInParts': call((options) => atOnce(llama.forwardInParts({ inputIds: [[1]] }, options))),
    'PretrainedModel#encode': call((options) => bert.encode(['a'], options)),
    'PretrainedModel#encodeQuery': call((options) => bert.encodeQuery(['a'], options)),
    'PretrainedModel#encodeDocument': call((options) => bert.encodeDocument(['a'], options)),
    'PretrainedModel#encodeSparse': call((options) => masked.encodeSparse(['a'], options)),
    'PretrainedModel#encodeQuerySparse': call((options) => masked.encodeQuerySparse(['a'], options)),
    'PretrainedModel#encodeDocumentSparse': call((options) => masked.encodeDocumentSparse(['a'], options)),
    'PretrainedModel#decodeSparse': call((options) => masked.decodeSparse(sparse, options)),
    'PretrainedModel#encodeTokens': call((options) => bert.encodeTokens(['a'], options)),
    'PretrainedModel#computeScore': call((options) => m3.computeScore(['a', 'b'], options), {}, { weights: {} }),
    'PretrainedModel#predict': call((options) => ranker.predict([['a', 'b']], options), {}, { template }),
    'PretrainedModel#rank': call((options) => ranker.rank('a', ['b'], options), {}, { template }),
    'PretrainedModel#save': call((options) => llama.save('/dev/null/none', options)),
    saveGguf: call((options) => saveGguf(llama, '/dev/null/none', options)),
  };
}

/** Calls of models in other frameworks. */
export async function adapterCalls({ llama, ranker }: Models): Promise<Calls> {
  const languageModel = promptApi(llama);
  const session = await languageModel.create();
  const reranker = new SimdformerRerank({ model: ranker as never });
  const kinds = [{ type: 'text' }];
  const tool = { name: 'f', description: 'd', inputSchema: { type: 'object' }, execute: async () => '' };
  const ofCreation = { initialPrompts: messages, expectedInputs: kinds, expectedOutputs: kinds, tools: [tool] };
  const creation = (run: Call['run']) => call(run, {}, ofCreation);
  return {
    'SimdformerRerank#rerank': call((options) => reranker.rerank(['a'], 'b', options)),
    promptApi: call(async (options) => promptApi('test/data/families/llama', options).create()),
    'PromptApi#availability': creation((options) => languageModel.availability(options)),
    'PromptApi#create': creation((options) => languageModel.create(options)),
    'LanguageModelSession#prompt': call((options) => session.prompt('the cat', options)),
    'LanguageModelSession#promptStreaming': call((options) => session.promptStreaming('the cat', options).cancel()),
    'LanguageModelSession#append': call((options) => session.append('the cat', options)),
    'LanguageModelSession#clone': call((options) => session.clone(options)),
    createSimdformer: call((options) =>
      createSimdformer(options)
        .embeddingModel('test/data/families/bert-pooler')
        .doEmbed({ values: ['a'] }),
    ),
  };
}

/** Calls of tokenizers. */
export function tokenizerCalls({ tokenizer, own, llama }: Models): Calls {
  const encode = call((options) => tokenizer.encode('a', options));
  const decode = call((options) => tokenizer.decode([4], options));
  return {
    loadTokenizer: call((options) => core.loadTokenizer('test/tasks/wordpiece', options)),
    'CharTokenizer.train': call((options) => core.CharTokenizer.train('abc', options), {}, { special }),
    'CharTokenizer#encode': encode,
    'CharTokenizer#decode': decode,
    'Tokenizer#encode': encode,
    'Tokenizer#decode': decode,
    'BpeTokenizer.train': call(
      (options) => tokenizers.BpeTokenizer.train('abc abc', options),
      { vocabSize: 300 },
      { special },
    ),
    'WordTokenizer.train': call((options) => tokenizers.WordTokenizer.train('a b', options), {}, { special }),
    'PretrainedTokenizer#encodeBatch': call((options) => own.encodeBatch(['a'], options)),
    'PretrainedTokenizer#encodeAsync': call((options) => own.encodeAsync('a', options)),
    'PretrainedTokenizer#encodeBatchAsync': call((options) => own.encodeBatchAsync(['a'], options)),
    'PretrainedTokenizer#decode': call((options) => own.decode([5], options)),
    'PretrainedTokenizer#batchDecode': call((options) => own.batchDecode([[5]], options)),
    'PretrainedTokenizer#applyChatTemplate': call(
      (options) => (llama.tokenizer as tokenizers.PretrainedTokenizer).applyChatTemplate(messages, options),
      {},
      { tools },
    ),
  };
}
