// The small checkpoints of ../shared/reference: what transformers computes for them in float64, each output, hidden state
// and attention map, the gradient of each parameter, and the tokens that it writes.
import { describe } from 'vitest';
import { isNode } from '../../src/backend/node.js';
import { isas } from '../describe-op.js';
import { describeShared } from '../shared.js';
import conditions from './conditions.json' with { type: 'json' };
import { testCheckpoint } from './reference.js';

const encoders = [
  ...['bert-mlm', 'bert-multilabel', 'bert-pooler', 'bert-qa', 'bert-regression', 'bert-sequence', 'bert-token'],
  ...['albert-mlm', 'distilbert-mlm', 'distilbert-sequence', 'electra-discriminator', 'electra-sequence', 'mpnet'],
  ...['deberta-v2-sequence', 'modernbert-mlm', 'modernbert-sequence'],
  ...['roberta-mlm', 'roberta-sequence', 'xlm-roberta-token'],
];
const decoders = [
  ...['gemma', 'gemma2', 'gemma3', 'gpt-neox', 'gpt2', 'llama', 'llama3-rope', 'mistral-window', 'olmo2', 'opt'],
  ...['phi3', 'qwen2', 'qwen2-yarn', 'qwen3', 'smollm3'],
];
const encoderDecoders = ['bart', 'mbart', 'marian', 'm2m100', 't5', 't5-gated'];
const speechAndVision: string[] = ['clip', 'dinov2', 'siglip', 'vit-image', 'whisper'];
const all = [...encoders, ...decoders, ...encoderDecoders, ...speechAndVision];
/** In a page one of each kind: WebAssembly in Node has all. */
const families = isNode ? all : ['bert-sequence', 'llama', 't5', 'whisper', 'vit-image'];
/** Those that write. */
const writers = [...decoders, ...encoderDecoders];

await describeShared('reference checkpoints', 'reference', 'SOURCE.txt', async (shared) => {
  describe.each(isas)('%s', (isa) => {
    describe.each(families)('%s', (name) =>
      testCheckpoint(shared, name, isa, { writes: writers.includes(name), conditions }),
    );
  });
});
