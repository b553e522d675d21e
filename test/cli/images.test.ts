// Commands that look at images, with small random checkpoints.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import { decodeImage, encodeImage } from '../../src/pretrained/processors/decode-image.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';
import { Chat, pipeline } from '../../src/tasks/index.js';
import detections from '../tasks/detections.json' with { type: 'json' };
import answers from '../tasks/document-answers.json' with { type: 'json' };
import masks from '../tasks/masks.json' with { type: 'json' };
import segments from '../tasks/segments.json' with { type: 'json' };
import { upscalerFiles } from '../tasks/upscaler.js';
import { simdformer } from './run-cli.js';

const folder = mkdtempSync(join(tmpdir(), 'simdformer-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder with a checkpoint of test/data/families and further files. */
function checkpoint(name: string, files: Record<string, object>): string {
  const path = mkdtempSync(join(folder, name));
  for (const file of ['config.json', 'model.safetensors'])
    copyFileSync(`test/data/families/${name}/${file}`, join(path, file));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), JSON.stringify(content));
  return path;
}

/** Pixels whose color is halfway between that of the picture and the given one. */
function covered({ data: drawn }: ImageBytes, color: string): number[] {
  const wanted = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return Array.from({ length: WIDTH * HEIGHT }, (_, i) => i).filter((i) =>
    wanted.every((byte, c) => drawn[i * 3 + c] === (data[i * 3 + c]! + byte) >> 1),
  );
}

const [WIDTH, HEIGHT] = [23, 31];
const data = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => (i * i) % 251);
const image = join(folder, 'picture.png');

describe('commands for images', async () => {
  writeFileSync(image, await encodeImage({ width: WIDTH, height: HEIGHT, data }));

  it('segment prints the share of each label and writes a PNG', async () => {
    const processor = { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } };
    const model = checkpoint('segformer', { 'preprocessor_config.json': processor });
    const out = join(folder, 'mask.png');
    const { code, stdout, stderr } = await simdformer(['segment', model, image, '--out', out]);
    expect(code, stderr).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    const mask = await decodeImage(readFileSync(out));
    expect([mask.width, mask.height]).toEqual([WIDTH, HEIGHT]);
    for (const [share, label, color] of lines) {
      expect(label).toMatch(/^LABEL_\d$/);
      const pixels = covered(mask, color!);
      expect(share).toBe(`${((100 * pixels.length) / (WIDTH * HEIGHT)).toFixed(1)} %`);
    }
  });

  it('segment prints the objects of a panoptic model with their scores', async () => {
    const files = { 'preprocessor_config.json': segments.processor };
    const model = checkpoint('detr-panoptic', files);
    const out = join(folder, 'objects.png');
    const found = await simdformer(['segment', model, image, '--threshold', '0.3', '--out', out]);
    expect(found.code, found.stderr).toBe(0);
    const drawn = await decodeImage(readFileSync(out));
    for (const line of found.stdout.trim().split('\n').filter(Boolean)) {
      const [share, label, score, color] = line.split('\t');
      expect(label).toMatch(/^LABEL_\d$/);
      expect(Number(score)).toBeGreaterThan(0.3);
      expect(share).toBe(`${((100 * covered(drawn, color!).length) / (WIDTH * HEIGHT)).toFixed(1)} %`);
    }
    const classes = await simdformer(['segment', model, image, '--subtask', 'semantic']);
    expect(classes.stdout).toMatch(/^[\d.]+ %\tLABEL_\d\t#[\da-f]{6}\n/);
    const odd = await simdformer(['segment', model, image, '--subtask', 'all']);
    expect(odd.stderr).toContain('Allowed choices are panoptic, instance, semantic');
    const both = await simdformer(['segment', model, image, '--everything', '--threshold', '0.3']);
    expect(both.stderr).toContain('--everything and --threshold are given, expected one of them');
  });

  it('segment cuts out what points and boxes mark, by SAM', async () => {
    const model = checkpoint('sam', { 'preprocessor_config.json': masks.processor });
    const out = join(folder, 'points.png');
    const two = ['--point', '4,5', '--point', '20,28'];
    const { code, stdout, stderr } = await simdformer(['segment', model, image, ...two, '--out', out]);
    expect(code, stderr).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(2);
    const drawn = await decodeImage(readFileSync(out));
    const [share, score, color] = lines[0]!.split('\t');
    expect(share).toBe(`${((100 * covered(drawn, color!).length) / (WIDTH * HEIGHT)).toFixed(1)} %`);
    expect(Number(score)).not.toBeNaN();
    const boxed = await simdformer(['segment', model, image, '--box', '2,2,18,20']);
    expect(boxed.stdout.trim().split('\n')).toHaveLength(1);
    const both = await simdformer(['segment', model, image, '--box', '2,2,18,20', '--everything']);
    expect(both.stderr).toContain('--box and --everything are given, expected one of them');
    const odd = await simdformer(['segment', model, image, '--point', '2']);
    expect(odd.stderr).toContain('not 2 numbers separated by commas');
  });

  it('segment --cut-out makes the background transparent', async () => {
    const processor = { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } };
    const path = checkpoint('segformer', { 'preprocessor_config.json': processor });
    const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
    const names = Object.keys(config.id2label ?? { 0: '', 1: '' });
    config.id2label = Object.fromEntries(names.map((id, i) => [id, i === 0 ? 'background' : `thing ${id}`]));
    writeFileSync(join(path, 'config.json'), JSON.stringify(config));
    const out = join(folder, 'cut.png');
    const { code, stderr } = await simdformer(['segment', path, image, '--cut-out', '--out', out]);
    expect(code, stderr).toBe(0);
    expect(readFileSync(out)[25]).toBe(6); // red, green, blue and alpha
    const nowhere = await simdformer(['segment', path, image, '--cut-out']);
    expect(nowhere.stderr).toContain('--cut-out needs --out');
  });

  it('classify --images prints the classes of each image', async () => {
    const processor = { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 32 } };
    const model = checkpoint('convnext', { 'preprocessor_config.json': processor });
    const { code, stdout, stderr } = await simdformer(['classify', model, '--images', '--top-k', '2', image, image]);
    expect(code, stderr).toBe(0);
    const [first, second, ...rest] = stdout.trim().split('\n');
    expect(first).toMatch(/^LABEL_\d\t0\.\d{6}\tLABEL_\d\t0\.\d{6}$/);
    expect([second, rest]).toEqual([first, []]);
    const both = await simdformer(['classify', model, '--images', '--sounds', image]);
    expect(both.stderr).toContain('expected one of them');
  });

  it('detect prints objects and draws their boxes', async () => {
    const processor = { image_processor_type: 'DetrImageProcessor', size: { shortest_edge: 48, longest_edge: 72 } };
    const model = checkpoint('detr', { 'preprocessor_config.json': processor });
    const out = join(folder, 'boxes.png');
    const { code, stdout, stderr } = await simdformer(['detect', model, image, '--threshold', '0.1', '--out', out]);
    expect(code, stderr).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(lines.length).toBeGreaterThan(0);
    const drawn = await decodeImage(readFileSync(out));
    expect([drawn.width, drawn.height]).toEqual([WIDTH, HEIGHT]);
    const [score, label, box, color] = lines[0] as [string, string, string, string];
    expect([Number(score) > 0.1, label.length > 0]).toEqual([true, true]);
    const [left, top, right, bottom] = box.split(',').map(Number) as [number, number, number, number];
    const hex = (x: number, y: number) =>
      `#${[0, 1, 2].map((c) => drawn.data[(y * WIDTH + x) * 3 + c]!.toString(16).padStart(2, '0')).join('')}`;
    const clamp = (at: number, size: number) => Math.min(size - 1, Math.max(0, at));
    const sides = [
      [clamp(Math.floor((left + right) / 2), WIDTH), top, HEIGHT],
      [clamp(Math.floor((left + right) / 2), WIDTH), bottom - 1, HEIGHT],
    ] as const;
    for (const [x, y, size] of sides) if (y >= 0 && y < size) expect(hex(x, y)).toBe(color);
    const odd = await simdformer(['detect', model, image, '--threshold', '2']);
    expect([odd.code, odd.stderr]).toEqual([expect.any(Number), expect.stringContaining('from 0 to below 1')]);
  });

  it('detect --labels finds what texts name, as the pipeline does', async () => {
    const files = { 'preprocessor_config.json': detections.processors.owlv2, 'tokenizer.json': detections.tokenizer };
    const model = checkpoint('owlv2', files);
    const { labels, threshold } = detections.found.owlv2;
    const share = String(threshold);
    const found = await simdformer(['detect', model, image, '--labels', labels.join(', '), '--threshold', share]);
    expect(found.code, found.stderr).toBe(0);
    const find = await pipeline('zero-shot-object-detection', model);
    const wanted = await find(image, labels, { threshold });
    await find.dispose();
    expect(wanted.length).toBeGreaterThan(0);
    const lines = found.stdout.trim().split('\n');
    expect(lines.map((line) => line.split('\t').slice(0, 3))).toEqual(
      wanted.map(({ score, label, box }) => [score.toFixed(3), label, Object.values(box).join(',')]),
    );
    for (const words of [
      ['detect', model, image],
      ['classify', model],
    ]) {
      const odd = await simdformer([...words, '--labels', 'cat,,dog']);
      expect(odd.stderr).toContain('Expected labels separated by commas, none of them empty.');
    }
  });

  it('depth writes an image of the same size', async () => {
    const processor = {
      image_processor_type: 'DPTImageProcessor',
      size: { height: 28, width: 28 },
      ensure_multiple_of: 14,
    };
    const model = checkpoint('depth_anything', { 'preprocessor_config.json': processor });
    const out = join(folder, 'depth.png');
    const { code, stdout, stderr } = await simdformer(['depth', model, image, '--out', out]);
    expect(code, stderr).toBe(0);
    const [min, max] = stdout.trim().split('\t').map(Number) as [number, number];
    expect(min).toBeLessThan(max);
    const depth = await decodeImage(readFileSync(out));
    expect([depth.width, depth.height]).toEqual([WIDTH, HEIGHT]);
  });

  it('upscale writes the image of the pipeline', async () => {
    const model = mkdtempSync(join(folder, 'upscaler'));
    for (const [file, bytes] of Object.entries(upscalerFiles())) writeFileSync(join(model, file), bytes);
    const out = join(folder, 'large.png');
    const { code, stdout, stderr } = await simdformer(['upscale', model, image, '--out', out]);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(`${2 * WIDTH}\t${2 * HEIGHT}\n`);
    const enlarge = await pipeline('image-to-image', model);
    const wanted = await enlarge(image);
    await enlarge.dispose();
    const { width, height, data: pixels } = await decodeImage(readFileSync(out));
    expect([width, height]).toEqual([2 * WIDTH, 2 * HEIGHT]);
    expect(Uint8Array.from(pixels)).toEqual(Uint8Array.from(wanted.data));
  });

  it("caption prints Florence-2's boxes as JSON", async () => {
    const names = Array.from(
      { length: 97 },
      (_, id) => ['<s>', '<pad>', '</s>'][id] ?? (id === 94 ? '<image>' : `w${id}`),
    );
    const tokenizer = {
      version: '1.0',
      added_tokens: [0, 1, 2, 94].map((id) => ({ id, content: names[id], special: true })),
      pre_tokenizer: { type: 'Whitespace' },
      model: { type: 'WordLevel', unk_token: 'w3', vocab: Object.fromEntries(names.map((name, id) => [name, id])) },
    };
    const size = { height: 24, width: 24 };
    const processor = { image_processor_type: 'CLIPImageProcessor', size, do_center_crop: false, image_seq_length: 10 };
    const model = checkpoint('florence2', { 'preprocessor_config.json': processor, 'tokenizer.json': tokenizer });
    const { code, stdout, stderr } = await simdformer(['caption', model, image, '--prompt', '<OD>']);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ bboxes: [], labels: [] });
    const both = await simdformer(['caption', model, image, '--prompt', '<OD>', '--question', 'a']);
    expect([both.code, both.stderr]).toEqual([expect.any(Number), expect.stringContaining('expected one of them')]);
  });

  it('caption --question answers by LayoutLMv3 with --words, and says what is missing', async () => {
    const model = 'test/tasks/layoutlmv3';
    const words = join(folder, 'words.json');
    writeFileSync(words, JSON.stringify(answers.words));
    const wanted = answers.cases.find(({ image, options }) => image && Object.keys(options).length === 0)!;
    const page = join(folder, 'page.png');
    const [width, height] = answers.size as [number, number];
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + ((i * i) % 97)) % 256);
    writeFileSync(page, await encodeImage({ width, height, data }));
    const found = await simdformer(['caption', model, page, '--question', wanted.question, '--words', words]);
    expect(found.stdout.trim(), found.stderr).toBe(wanted.answers[0]!.answer);
    const without = await simdformer(['caption', model, page, '--question', 'Who?']);
    expect(without.stderr).toContain('word_boxes is missing');
    const alone = await simdformer(['caption', model, page, '--words', words]);
    expect(alone.stderr).toContain('--words is given, expected one image and --question beside it');
    const broken = await simdformer(['caption', model, page, '--question', 'Who?', '--words', page]);
    expect(broken.stderr).toContain('is not text in UTF-8');
  });

  it('caption prints a line for each image', async () => {
    const vocab = Object.fromEntries(Array.from({ length: 97 }, (_, id) => [`w${id}`, id]));
    const tokenizer = {
      version: '1.0',
      pre_tokenizer: { type: 'Whitespace' },
      model: { type: 'WordLevel', unk_token: 'w0', vocab },
    };
    const processor = { image_processor_type: 'ViTImageProcessor', size: { height: 24, width: 24 } };
    const model = checkpoint('trocr', { 'preprocessor_config.json': processor, 'tokenizer.json': tokenizer });
    const { code, stdout, stderr } = await simdformer(['caption', model, image, image]);
    expect(code, stderr).toBe(0);
    const [first, second, ...rest] = stdout.trim().split('\n');
    expect(first).toMatch(/^w\d+( w\d+)*$/);
    expect([second, rest]).toEqual([first, []]);
    const broken = await simdformer(['caption', model, image, 'README.md']);
    expect(broken.code).not.toBe(0);
    expect(broken.stderr).toMatch(/^simdformer: README\.md: .*this is not a readable image/);
  });

  /** PaliGemma with words as tokens. */
  function reader(settings: object = {}): string {
    const names = Array.from({ length: 97 }, (_, id) => (id === 94 ? '<image>' : `w${id}`));
    const tokenizer = {
      version: '1.0',
      added_tokens: [{ id: 94, content: '<image>', special: true }],
      pre_tokenizer: { type: 'Whitespace' },
      model: { type: 'WordLevel', unk_token: 'w3', vocab: Object.fromEntries(names.map((name, id) => [name, id])) },
    };
    const processor = { image_processor_type: 'SiglipImageProcessor', size: { height: 24, width: 24 } };
    const files = { 'preprocessor_config.json': processor, 'tokenizer.json': tokenizer };
    return checkpoint('paligemma', { ...files, 'tokenizer_config.json': settings });
  }

  it('chat --image and /image answer as Chat does', async () => {
    const part = "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}";
    const template = `{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}${part}{% endfor %}{% endif %}{% endfor %}`;
    const model = reader({ chat_template: template });
    const chat = (lines: string[], ...args: string[]) =>
      simdformer(['chat', model, '--max-tokens', '4', ...args], { input: lines.join('\n') });
    const [first, later, without] = [
      await chat(['w5 w6'], '--image', image),
      await chat([`/image ${image}`, 'w5 w6']),
      await chat(['w5 w6']),
    ];
    expect(first.code, first.stderr).toBe(0);
    const loaded = await loadModel(await createDevice(), model);
    const content = [
      { type: 'image', image },
      { type: 'text', text: 'w5 w6' },
    ];
    let text = '';
    for await (const piece of new Chat(loaded).send({ role: 'user', content }, { maxNewTokens: 4 })) text += piece;
    loaded.device.dispose();
    expect(first.stdout.trim()).toBe(text.trim());
    expect(later.stdout).toContain(text.trim());
    expect(without.stdout.trim()).not.toBe(text.trim());
    expect((await chat(['w5'], '--image', 'README.md')).stderr).toContain('this is not a readable image');
  });

  it('run --image continues texts about images', async () => {
    const model = reader();
    const run = (...more: string[]) =>
      simdformer(['run', model, 'w5 w6', '--max-tokens', '4', ...more, '--image', image]);
    const { code, stdout, stderr } = await run();
    expect(code, stderr).toBe(0);
    expect(stdout.trim()).toMatch(/^w5 w6( ?\S+)+$/);
    expect((await run()).stdout).toBe(stdout);
    expect((await run('--json')).stderr).toContain('--image takes no --json');
    const text = await simdformer(['run', model, 'w5', '--image', 'README.md']);
    expect(text.stderr).toContain('this is not a readable image');
  });

  it('segment --everything finds masks without a prompt, by SAM', async () => {
    const model = checkpoint('sam', { 'preprocessor_config.json': masks.processor });
    const out = join(folder, 'everything.png');
    const { code, stdout, stderr } = await simdformer(['segment', model, image, '--everything', '--out', out]);
    expect(code, stderr).toBe(0);
    for (const line of stdout.trim().split('\n').filter(Boolean)) expect(line).toMatch(/^\d+\.\d %\t/);
    const drawn = await decodeImage(readFileSync(out));
    expect([drawn.width, drawn.height]).toEqual([WIDTH, HEIGHT]);
  });
});
