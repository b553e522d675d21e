// Each objective teaches a small model that others have trained, with its own tokenizer, what its rows say.
import { describe, expect, it } from 'vitest';
import {
  CausalLanguageModel,
  Distillation,
  Embeddings,
  evaluateCausal,
  evaluateEmbeddings,
  evaluateTokens,
  lora,
  MaskedLanguageModel,
  Preference,
  SequenceClassification,
  TokenClassification,
} from '../../src/finetune/index.js';
import { AdamW, fit, loadModel } from '../../src/index.js';
import type { LoadModelOptions } from '../../src/pretrained/load-model.js';
import { constant, type ExampleStream, type Objective } from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 2);
const load = (name: string, options: LoadModelOptions = {}) =>
  loadModel(device, `test/data/checkpoints/${name}`, { onWarning: () => {}, ...options });

/** Trains for some steps and returns the mean losses of the first and the last ones. */
async function learn<Item>(
  objective: Objective<Item>,
  rows: readonly Item[] | ExampleStream<Item>,
  { steps = 24, lr = 2e-3, batchSize = 4 } = {},
): Promise<[first: number, last: number]> {
  const params = objective.namedTensors!().map(([, tensor]) => tensor);
  using optimizer = new AdamW(
    params.filter(({ requiresGrad }) => requiresGrad),
    { weightDecay: 0 },
  );
  const { losses } = await fit(objective, rows, { steps, batchSize, optimizer, schedule: constant(lr), seed: 1 });
  const mean = (part: readonly number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
  return [mean(losses.slice(0, 4)), mean(losses.slice(-4))];
}

const stories = ['Tom had a red ball.', 'Lily saw a big dog.', 'The sun was hot.', 'Ben and Mia ran home.'];

describe('objectives', () => {
  describe('of writers', () => {
    it('train on texts, and only on the answers of conversations', async () => {
      using model = await load('tinystories-656k');
      model.tokenizer!.chatTemplate =
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
      const rows = stories.map((text, i) => ({
        messages: [
          { role: 'user', content: text },
          { role: 'assistant', content: ['yes', 'no', 'yes', 'no'][i]! },
        ],
      }));
      const objective = new CausalLanguageModel(model);
      await objective.prepare(rows);
      const { inputIds, labels } = objective.encoded(rows[0]!);
      const learnt = inputIds.filter((_, i) => labels[i] !== -100);
      expect(labels.filter((label) => label !== -100)).toEqual(learnt);
      expect(model.tokenizer!.decode(learnt).trim()).toMatch(/^yes/);
      expect(learnt.length).toBeLessThan(inputIds.length / 2);
      const [first, last] = await learn(objective, rows);
      expect(last).toBeLessThan(0.5 * first);
      const before = await evaluateCausal(model, rows);
      expect(before.perplexity).toBeCloseTo(Math.exp(before.loss!), 9);
      expect(before.exactMatch).toBeGreaterThanOrEqual(0);
    });

    it('keep the sequences of a batch separate', async () => {
      using model = await load('tinystories-656k');
      const objective = new CausalLanguageModel(model);
      const rows = stories.map((text) => ({ text }));
      const loss = async (items: typeof rows) => device.noGrad(() => objective.lossOf(items, {})).item();
      const alone: number[] = [];
      for (const row of rows) alone.push((await loss([row])) * objective.weightOf([row]));
      const sum = alone.reduce((total, each) => total + each, 0);
      expect((await loss(rows)) * objective.weightOf(rows)).toBeCloseTo(sum, 3);
    });

    it('refuse unknown options, and rows that are not an array', async () => {
      using model = await load('tinystories-656k');
      lora(model, {});
      const wrong = { maxLen: 5 } as object;
      for (const make of [CausalLanguageModel, Preference]) expect(() => new make(model, wrong)).toThrow(/maxLen/);
      const objective = new CausalLanguageModel(model);
      expect(() => objective.lossOf('Tom' as never)).toThrow(/lossOf: rows is "Tom", expected an array/);
      expect(() => objective.lossOf([{ text: 'Tom' }], { rDrop: 1 })).toThrow(/rDrop/);
    });

    it('train the preferred answer, against the model without its adapter', async () => {
      using model = await load('tinystories-656k');
      expect(() => new Preference(model)).toThrow(/reference/);
      lora(model, { r: 4, alpha: 16 });
      const rows = stories.map((prompt) => ({ prompt, chosen: ' The end.', rejected: ' He was sad.' }));
      const objective = new Preference(model, { beta: 0.5 });
      expect(await device.noGrad(() => objective.lossOf(rows, {})).item()).toBeCloseTo(Math.log(2), 5);
      const [, last] = await learn(objective, rows, { lr: 1e-2 });
      expect(last).toBeLessThan(0.3);
    });

    it.each([[[]], [['norm']], [['embed_tokens']], [['input_layernorm', 'post_attention_layernorm']]])(
      'the default reference of preferences stays the base, whatever %j learn',
      async (modulesToSave) => {
        using model = await load('tinystories-656k');
        using reference = await load('tinystories-656k');
        const adapter = lora(model, { r: 4, targets: ['q_proj'], modulesToSave });
        const rows = stories.map((prompt) => ({ prompt, chosen: ' The end.', rejected: ' He was sad.' }));
        const own = new Preference(model, { beta: 1 });
        using optimizer = new AdamW(adapter.parameters(), { lr: 1e-2, weightDecay: 0 });
        for (let step = 0; step < 5; step++) {
          device.scope(() => own.lossOf(rows).backward());
          optimizer.step();
          optimizer.zeroGrad();
        }
        const untouched = new Preference(model, { beta: 1, reference });
        const [mine, given] = [own, untouched].map((objective) =>
          device.noGrad(() => objective.lossOf(rows).dataSync()),
        );
        expect(mine).toEqual(given);
        expect(mine![0]!).toBeLessThan(0.5);
      },
    );

    it('pause in both passes of preferences, with the adapter and the mode of training that others see', async () => {
      using model = await load('tinystories-656k');
      lora(model, { r: 4, targets: ['q_proj'], modulesToSave: ['norm'] });
      const own = new Preference(model);
      const rows = stories.map((prompt) => ({ prompt, chosen: ' The end.', rejected: ' He was sad.' }));
      const expected = device.noGrad(() => own.lossOf(rows).dataSync());
      let pauses = 0;
      const loss = device.scope(() => {
        const parts = own.lossOfInParts(rows);
        for (;;) {
          const { done, value } = parts.next();
          if (done) return value;
          pauses++;
          expect(model.activeAdapters).toEqual(['default']);
          expect(device.gradientsOn).toBe(true);
          expect(pauses).toBeLessThan(100); // a pass begins again if an adapter was switched
        }
      });
      expect(pauses).toBeGreaterThan(2 * model.decoder!.layers.length);
      expect(loss.dataSync()).toEqual(expected);
    });

    it("train on a teacher's outputs, with a stream that is read on demand", async () => {
      using teacher = await load('tinystories-656k');
      using student = await load('tinystories-656k');
      await learn(new CausalLanguageModel(student), [{ text: 'zzz zzz zzz' }], { steps: 8 });
      const objective = new Distillation(new CausalLanguageModel(student), teacher, {
        alpha: 0.9,
        hiddenStates: [[1, 1]],
      });
      let opened = 0;
      const [first, last] = await learn(
        objective,
        async function* () {
          opened++;
          for (const text of stories) yield { text };
        },
        { steps: 16, batchSize: 2 },
      );
      expect(opened).toBe(8);
      expect(last).toBeLessThan(first);
    });
  });
});

describe('objectives of encoders', () => {
  const reactions = ['CCO.CC(=O)O>>CC(=O)OCC', 'CCN.CC(=O)Cl>>CC(=O)NCC', 'CO.O=C=O>>COC(=O)O', 'C=C.Br>>CCBr'];

  describe('of readers', () => {
    it('train one label, several labels, and numbers', async () => {
      const kinds = [
        [{ labels: ['acid', 'other'] }, (i: number) => ({ label: i % 2 ? 'acid' : 'other' })],
        [
          { labels: ['a', 'b', 'c'], problemType: 'multi_label_classification' },
          (i: number) => ({ labels: i % 2 ? ['a', 'c'] : ['b'] }),
        ],
        [{ labels: ['LABEL_0'], problemType: 'regression' }, (i: number) => ({ score: i / 2 })],
      ] as const;
      for (const [options, target] of kinds) {
        using model = await load('rxnmapper-albert', { head: 'sequence-classification', ...options });
        const rows = reactions.map((text, i) => ({ text, ...target(i) }));
        const [first, last] = await learn(new SequenceClassification(model), rows, { steps: 24, lr: 2e-4 });
        expect(last).toBeLessThan(0.9 * first);
      }
    });

    it('train labels of words', async () => {
      using model = await load('rxnmapper-albert', { head: 'token-classification', labels: ['O', 'B-X'] });
      const rows = reactions.map((text) => {
        const tokens = text.split(/[.>]+/);
        return { tokens, labels: tokens.map((token) => (token.startsWith('CC') ? 'B-X' : 'O')) };
      });
      const [first, last] = await learn(new TokenClassification(model), rows, { steps: 24, lr: 2e-4 });
      expect(last).toBeLessThan(0.7 * first);
      expect((await evaluateTokens(model, rows)).accuracy).toBeGreaterThan(0.8);
    });

    it('mask whole words, different ones each time, and the same ones for the same seed', async () => {
      using model = await load('rxnmapper-albert', { head: 'masked-language-model' });
      const objective = new MaskedLanguageModel(model, { probability: 0.3 });
      const rows = reactions.map((text) => ({ text }));
      const masks = (seed: number) => {
        objective.seedDropout(seed);
        return objective.inputs(rows.map((row) => objective.encoded(row))).labels as number[][];
      };
      expect(masks(1)).toEqual(masks(1));
      expect(masks(1)).not.toEqual(masks(2));
      for (const row of masks(3)) expect(row.some((label) => label !== -100)).toBe(true);
      const isHidden = masks(1).flatMap((row, i) =>
        row.filter((label) => label === objective.encoded(rows[i]!).inputIds.at(0)),
      );
      expect(isHidden).toEqual([]); // tokens that are in no text are not hidden
    });

    it.each(['ranked', 'negatives', 'triplet'] as const)('vectors of texts by the loss %s', async (loss) => {
      using model = await load('rxnmapper-albert', { head: 'none' });
      const rows = reactions.map((text, i) => ({
        anchor: text,
        positive: reactions[(i + 1) % 4]!,
        score: i,
        ...(loss === 'triplet' && { negative: reactions[(i + 2) % 4]! }),
      }));
      const [first, last] = await learn(new Embeddings(model, { loss, margin: 0.5 }), rows, { steps: 16, lr: 1e-4 });
      expect(last).toBeLessThan(first);
      if (loss === 'ranked') expect((await evaluateEmbeddings(model, rows)).spearman).toBeGreaterThan(0);
    });
  });
});
