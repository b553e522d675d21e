// Jobs of the workers: each loads what it needs, works, and frees it. Equal calls of a job must give equal bits.

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CausalLanguageModel, lora } from '../../src/finetune/index.js';
import { AdamW, type Device, fit, loadModel, Transformer } from '../../src/index.js';
import { quantize } from '../../src/models/index.js';
import type { PretrainedModel } from '../../src/pretrained/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/index.js';

const checkpoint = (name: string) => fileURLToPath(new URL(`../../test/data/checkpoints/${name}`, import.meta.url));
const WRITER = checkpoint('tinystories-656k');
const READER = checkpoint('rxnmapper-albert');

const PROMPT = 'Once upon a time, a cat';
const GRAMMAR = `root ::= " The " animal " was " mood "."\nanimal ::= "cat" | "dog"\nmood ::= "happy" | "sad"`;
const stories = ['Tom had a red ball.', 'Lily saw a big dog. It ran away.', 'The sun was warm.', 'Ben ate a cake.'];
const molecules = ['CCO', 'CC(=O)O', 'c1ccccc1', 'CN1C=NC2=C1C(=O)N(C)C(=O)N2C'];

/** A job by its name. The result is hashed. */
type Job = (device: Device) => Promise<unknown>;

const jobs: Readonly<Record<string, Job>> = {
  async train(device) {
    const model = new Transformer(device, {
      dModel: 64,
      heads: 4,
      encoderLayers: 2,
      decoderLayers: 2,
      sourceVocab: 32,
      targetVocab: 32,
      maxLength: 32,
      seed: 5,
    });
    const example = (i: number) => Array.from({ length: 4 + (i % 8) }, (_, k) => 3 + ((i * 7 + k * 5) % 29));
    const rows = Array.from({ length: 64 }, (_, i) => ({ source: example(i), target: [1, ...example(i), 2] }));
    const optimizer = new AdamW(model.parameters(), { lr: 1e-3 });
    try {
      const { losses } = await fit(model, rows, { steps: 8, batchSize: 16, optimizer });
      return losses;
    } finally {
      optimizer.dispose();
      model.dispose();
    }
  },

  async generate(device) {
    const model = await loadModel(device, WRITER, { head: 'language-model' });
    try {
      const options = { maxNewTokens: 24, doSample: true, seed: 7, temperature: 0.8, topK: 40 } as const;
      const ids = idsOf(model, PROMPT);
      const { sequences } = await model.generate([ids, ids.slice(0, 3)], options);
      return sequences;
    } finally {
      model.dispose();
    }
  },

  async 'generate by a grammar with packed weights'(device) {
    const model = await loadModel(device, `${WRITER}/tinystories-656k-Q8_0.gguf`);
    try {
      const responseFormat = { grammar: GRAMMAR };
      const ids = idsOf(model, PROMPT);
      const { sequences } = await model.generate([ids], { maxNewTokens: 32, responseFormat, seed: 3 });
      return sequences;
    } finally {
      model.dispose();
    }
  },

  async 'stop early'(device) {
    const model = await loadModel(device, WRITER, { head: 'language-model' });
    try {
      const ids = idsOf(model, PROMPT);
      const stop = new AbortController();
      const tokens: number[] = [];
      const onToken = ({ token }: { token: number }) => {
        tokens.push(token);
        if (tokens.length === 5) stop.abort();
      };
      const end = await model.generate([ids], { maxNewTokens: 200, signal: stop.signal, onToken }).then(
        () => 'ended',
        (error: Error) => error.name,
      );
      return [end, tokens];
    } finally {
      model.dispose();
    }
  },

  async embed(device) {
    const model = await loadModel(device, READER, { head: 'none', onWarning: () => {} });
    try {
      return await model.encode(molecules, { batchSize: 2 });
    } finally {
      model.dispose();
    }
  },

  async 'quantize and embed'(device) {
    const model = await loadModel(device, READER, { head: 'none', onWarning: () => {} });
    try {
      quantize(model, { weights: 'int8' });
      return await model.encode(molecules);
    } finally {
      model.dispose();
    }
  },

  async 'fine-tune an adapter, save and load it'(device) {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-soak-'));
    const model = await loadModel(device, WRITER, { head: 'language-model' });
    try {
      const adapter = lora(model, { r: 4, targets: ['q_proj', 'v_proj'], seed: 1 });
      const rows = stories.map((text) => ({ text }));
      const optimizer = new AdamW(adapter.parameters(), { lr: 1e-3 });
      const { losses } = await fit(new CausalLanguageModel(model), rows, { steps: 3, batchSize: 2, optimizer });
      optimizer.dispose();
      adapter.merge();
      await model.save(folder);
      const again = await loadModel(device, folder, { head: 'language-model' });
      const ids = idsOf(again, PROMPT);
      const { sequences } = await again.generate([ids], { maxNewTokens: 8 });
      again.dispose();
      return [losses, sequences];
    } finally {
      model.dispose();
      rmSync(folder, { recursive: true });
    }
  },
};

function idsOf({ tokenizer }: PretrainedModel, text: string): number[] {
  return (tokenizer as PretrainedTokenizer).encode(text);
}

export const names = Object.keys(jobs);

/** Runs a job, and returns a hash of its result. */
export async function run(name: string, device: Device): Promise<string> {
  const result = await (jobs[name] as Job)(device);
  const plain = (_key: string, value: unknown) =>
    ArrayBuffer.isView(value) ? Array.from(value as Float32Array) : value;
  return createHash('sha256').update(JSON.stringify(result, plain)).digest('hex');
}
