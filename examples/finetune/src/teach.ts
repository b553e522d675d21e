// Encodes examples for a model, trains an adapter on them, and asks the model.
import { AdamW, fit, linearDecay } from 'simdformer';
import { CausalLanguageModel, type Lora, lora, SequenceClassification } from 'simdformer/finetune';
import type { LoadedModel } from 'simdformer/pretrained';
import type { Progress } from 'simdformer/train';
import type { Example } from './examples.js';

/** Ends a prompt, so that the model sees the beginning of its answer. */
const ASKED = '\n→';
const BATCH = 8;

export interface Teaching {
  readonly passes: number;
  readonly rate: number;
  readonly onStep?: ((progress: Progress, steps: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Teaches a model examples by an adapter, which it has from then on; one that it had goes. */
export async function teach(model: LoadedModel, examples: readonly Example[], teaching: Teaching): Promise<Lora> {
  const { passes, rate, onStep, signal } = teaching;
  const adapter = lora(model, { r: 8, alpha: 16, targets: 'all-linear' });
  const batchSize = Math.min(BATCH, examples.length);
  const steps = Math.max(1, Math.round((passes * examples.length) / batchSize));
  const options = {
    steps,
    batchSize,
    signal,
    optimizer: new AdamW(adapter.parameters(), { weightDecay: 0 }),
    schedule: linearDecay(rate, { steps, warmup: Math.round(steps / 10) }),
    onStep: (progress: Progress) => onStep?.(progress, steps),
  };
  model.train();
  try {
    if (model.headKind === 'sequence-classification') {
      const rows = examples.map(({ prompt, answer }) => ({ text: prompt, label: answer }));
      await fit(new SequenceClassification(model), rows, options);
    } else {
      const rows = examples.map(({ prompt, answer }) => ({ prompt: `${prompt}${ASKED}`, text: ` ${answer}` }));
      await fit(new CausalLanguageModel(model), rows, options);
    }
    return adapter;
  } catch (error) {
    // Whoever stops keeps what was learnt until then.
    if (signal?.aborted) return adapter;
    adapter.dispose();
    throw error;
  } finally {
    model.eval();
  }
}

/** A model's answers to prompts: a label, or a text up to its end or the end of a line. */
export async function answersOf(
  model: LoadedModel,
  prompts: readonly string[],
  adapter?: string | null,
): Promise<string[]> {
  const { tokenizer, device } = model;
  if (tokenizer === null) throw new Error('The model has no tokenizer.');
  const options = adapter === undefined ? {} : { adapter };
  if (model.headKind === 'sequence-classification') {
    const { inputIds, attentionMask } = tokenizer.encodeBatch(prompts, { padding: true });
    const { reading } = device.noGrad(() =>
      device.scope(() => ({ reading: model.forward({ inputIds, attentionMask }, options).logits?.data() })),
    );
    const logits = (await reading) as Float32Array;
    const labels = model.config.id2label as Record<string, string>;
    const count = logits.length / prompts.length;
    return prompts.map((_, i) => {
      const row = logits.subarray(i * count, (i + 1) * count);
      return labels[row.indexOf(row.reduce((a, b) => Math.max(a, b)))] as string;
    });
  }
  const { inputIds } = tokenizer.encodeBatch(prompts.map((prompt) => `${prompt}${ASKED}`));
  const { sequences } = await model.generate(inputIds, {
    numBeams: 1,
    doSample: false,
    maxNewTokens: 64,
    ...options,
  });
  return sequences.map((tokens) => tokenizer.decode(tokens).trim().split('\n', 1)[0]?.trim() ?? '');
}
