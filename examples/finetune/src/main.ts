import { createDevice, type Device } from 'simdformer';
import type { Lora } from 'simdformer/finetune';
import { type LoadedModel, loadModel } from 'simdformer/pretrained';
import { droppedFiles, type Given, pickedFiles } from '../../explorer/src/parts/bring/read-model.js';
import { saveFiles } from '../../explorer/src/save-files.js';
import { type Example, people } from './examples.js';
import { answersOf, teach } from './teach.js';

const element = <T extends Element = HTMLElement>(id: string) => document.getElementById(id) as unknown as T;
const [files, url, examples, prompt] = ['files', 'url', 'examples', 'prompt'].map((id) =>
  element<HTMLInputElement>(id),
) as [HTMLInputElement, HTMLInputElement, HTMLInputElement, HTMLInputElement];
const [teachButton, stopButton, askButton, saveButton] = ['teach', 'stop', 'ask', 'save'].map((id) =>
  element<HTMLButtonElement>(id),
) as [HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement];

/** Examples that are held back, to be asked when it has learnt: every tenth of many. */
const HELD_FROM = 20;

type Origin = ReadonlyMap<string, File> | Blob | URL;

/** The page's state: a model, its origin, and its adapter. */
const state: { device: Device | null; model: LoadedModel | null; from: Origin | null; adapter: Lora | null } = {
  device: null,
  model: null,
  from: null,
  adapter: null,
};
let busy: AbortController | null = null;

function say(id: string, text: string, isWrong = false): void {
  const place = element(id);
  place.textContent = text;
  place.classList.toggle('wrong', isWrong);
}

/** Runs what takes its time, alone, and shows what goes wrong where it belongs. */
async function alone(news: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
  if (busy) return say(news, 'The training is still running: stop it first.', true);
  const mine = new AbortController();
  busy = mine;
  update();
  try {
    await task(mine.signal);
  } catch (error) {
    say(news, (error as Error).message, true);
  } finally {
    busy = null;
    update();
  }
}

function update(): void {
  const { model, adapter } = state;
  const { found } = examplesOf(examples.value);
  teachButton.disabled = busy !== null || model === null || found.length === 0;
  stopButton.disabled = busy === null || model === null;
  askButton.disabled = busy !== null || model === null;
  saveButton.disabled = busy !== null || adapter === null;
}

function examplesOf(text: string): { found: Example[]; wrong: string | null } {
  const lines = text.split('\n').map((line) => line.trim());
  const found: Example[] = [];
  let wrong: string | null = null;
  for (const [i, line] of lines.entries()) {
    if (line === '') continue;
    const [asked, answer] = line.split(/\s*(?:→|=>|\t)\s*/, 2);
    if (asked && answer) found.push({ prompt: asked, answer });
    else wrong ??= `Line ${i + 1} has no → (or =>, or a tab) between a question and an answer.`;
  }
  return { found, wrong };
}

function checkExamples(): void {
  const { found, wrong } = examplesOf(examples.value);
  say('examples-news', wrong ?? `${found.length} examples.`, wrong !== null);
  update();
}

const isClassifier = ({ encoder, decoder }: LoadedModel) => encoder !== null && decoder === null;

async function open(from: Origin): Promise<void> {
  await alone('model-news', async (signal) => {
    say('model-news', 'Reading…');
    state.device ??= await createDevice({ backend: 'wasm', worker: true });
    const model = await loadModel(state.device, from, { onWarning: () => {}, signal });
    if (model.tokenizer === null || !(isClassifier(model) || model.headKind === 'language-model')) {
      model.dispose();
      throw new Error(
        'This model cannot be trained here: use a decoder such as a Llama, or a BERT, with its tokenizer.',
      );
    }
    state.model?.dispose();
    Object.assign(state, { model, from, adapter: null });
    const learns = isClassifier(model) ? 'labels of texts' : 'what is to be answered';
    say('model-news', `A ${model.config.model_type} is here: it learns ${learns}.`);
  });
}

/** A classifier's head has the labels that the examples have. */
async function withLabels(found: readonly Example[], signal: AbortSignal): Promise<LoadedModel> {
  const { device, model, from } = state as { device: Device; model: LoadedModel; from: Origin };
  if (!isClassifier(model)) return model;
  const labels = [...new Set(found.map(({ answer }) => answer))];
  if (labels.length < 2) throw new Error('All examples have the same label: give two at least.');
  const head = 'sequence-classification';
  const labelled = await loadModel(device, from, { head, labels, onWarning: () => {}, signal });
  model.dispose();
  return labelled;
}

async function learn(): Promise<void> {
  await alone('teach-news', async (signal) => {
    const { found } = examplesOf(examples.value);
    const held = found.length < HELD_FROM ? [] : found.filter((_, i) => i % 10 === 9);
    const learnt = found.filter((example) => !held.includes(example));
    say('teach-news', 'Getting ready…');
    state.adapter?.dispose();
    state.adapter = null;
    state.model = await withLabels(found, signal);
    const losses: number[] = [];
    const began = performance.now();
    state.adapter = await teach(state.model, learnt, {
      passes: Number(element<HTMLInputElement>('passes').value),
      rate: Number(element<HTMLInputElement>('rate').value),
      signal,
      onStep: ({ step, loss }, steps) => {
        losses.push(loss);
        drawCurve(losses, steps);
        const left = ((performance.now() - began) / step) * (steps - step);
        say('teach-news', `Step ${step} of ${steps}: loss ${loss.toFixed(3)}, ${Math.ceil(left / 1000)} s left.`);
      },
    });
    const summary = `${signal.aborted ? 'Stopped' : 'Learnt'} after ${((performance.now() - began) / 1000).toFixed(0)} s.`;
    if (held.length === 0) return say('teach-news', summary);
    say('teach-news', `${summary} Asking what was held back…`);
    const prompts = held.map((example) => example.prompt);
    const answers = await answersOf(state.model, prompts);
    const right = held.filter(({ answer }, i) => answer === answers[i]).length;
    say('teach-news', `${summary} Of ${held.length} examples that it never saw it answers ${right} to the letter.`);
  });
}

function drawCurve(losses: readonly number[], steps: number): void {
  const max = losses.reduce((a, b) => Math.max(a, b), 1e-6);
  const points = losses.map((loss, i) => `${(600 * (i + 0.5)) / steps},${155 - (150 * loss) / max}`).join(' ');
  const curve = element<SVGElement>('curve');
  curve.innerHTML = `<polyline points="${points}" />`;
  curve.setAttribute('aria-label', `The loss: ${losses[0]?.toFixed(3)} at first, now ${losses.at(-1)?.toFixed(3)}.`);
}

async function ask(): Promise<void> {
  await alone('teach-news', async () => {
    const { model, adapter } = state as { model: LoadedModel; adapter: Lora | null };
    const prompts = [prompt.value.trim()];
    if (prompts[0] === '') return;
    element('with').textContent = adapter ? ((await answersOf(model, prompts)) as [string])[0] : '–';
    element('without').textContent = ((await answersOf(model, prompts, adapter ? null : undefined)) as [string])[0];
  });
}

function bring(given: readonly Given[]): void {
  const byPath = new Map(given.map(({ path, file }) => [path.split('/').at(-1) as string, file]));
  const [only] = byPath.values();
  if (only === undefined) return;
  void open(byPath.size === 1 && only.name.endsWith('.gguf') ? only : byPath);
}

files.addEventListener('change', () => {
  bring(pickedFiles(files));
  files.value = '';
});
element('fetch').addEventListener('submit', (event) => {
  event.preventDefault();
  if (url.value !== '') void open(new URL(url.value));
});
examples.addEventListener('input', checkExamples);
teachButton.addEventListener('click', () => void learn());
stopButton.addEventListener('click', () => busy?.abort());
element('try').addEventListener('submit', (event) => {
  event.preventDefault();
  void ask();
});
saveButton.addEventListener('click', () => {
  void alone('teach-news', async () => saveFiles(await (state.adapter as Lora).toFiles()));
});
addEventListener('dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('over');
});
addEventListener('dragleave', (event) => {
  if (event.relatedTarget === null) document.body.classList.remove('over');
});
addEventListener('drop', (event) => {
  event.preventDefault();
  document.body.classList.remove('over');
  if (event.dataTransfer) void droppedFiles(event.dataTransfer).then(bring);
});

const [first, ...others] = people(201, 7) as [Example, ...Example[]];
examples.value = others.map(({ prompt, answer }) => `${prompt} → ${answer}`).join('\n');
prompt.value = first.prompt;
checkExamples();
