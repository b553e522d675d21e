// Small real models with chat templates, for the tests of adapters.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConstrainOptions, constrain, type ResponseFormat } from '../../src/constrain/index.js';
import { createDevice, type Device, loadModel, loadTextModel } from '../../src/index.js';
import type { LoadedModel, TextModel } from '../../src/pretrained/index.js';
import { parseTokenizer } from '../../src/tokenizers/index.js';
import { Scripted } from '../tasks/scripted-model.js';
import { smallModel } from '../tasks/small-model.js';
import { testData } from '../test-data.js';

const checkpoints = testData('checkpoints').path;

/** Names tools in a few tokens: the model has 512. Calls have the syntax of Hermes. */
export const TEMPLATE =
  '{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}' +
  "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{{ '\\n' }}{% endfor %}" +
  "{% if tools %}{% for t in tools %}{{ t.function.name }} {% endfor %}{{ '<tool_call>\\n' }}{% endif %}" +
  '{% if add_generation_prompt %}assistant: {% endif %}';

export interface SmallModels {
  readonly device: Device;
  /** Writes stories. `folder` has the same model. */
  readonly stories: TextModel;
  readonly folder: string;
  /** Writes bytes by random weights, and therefore answers of any format. */
  readonly writer: TextModel;
  /** Embeds texts, and ranks them. */
  readonly vectors: LoadedModel;
  readonly ranker: LoadedModel;
  /** Writes the texts that a test gives it. */
  readonly scripted: Scripted;
  end(): void;
}

export async function smallModels(): Promise<SmallModels> {
  const folder = mkdtempSync(join(tmpdir(), 'simdformer-frameworks-'));
  cpSync(join(checkpoints, 'tinystories-656k'), folder, { recursive: true, filter: (path) => !path.endsWith('.gguf') });
  const config = join(folder, 'tokenizer_config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), chat_template: TEMPLATE }));
  const device = await createDevice({ threads: 2 });
  const { tokenizer, special } = JSON.parse(readFileSync('test/tokenizers/chat.json', 'utf8'));
  const template = readFileSync('test/tokenizers/chat-templates/qwen3.jinja', 'utf8');
  const chat = await parseTokenizer(tokenizer, { ...special, chat_template: template });
  const writer = await loadTextModel(device, { 'model.gguf': await testData('gguf').bytes('qwen2.Q8_0.gguf') });
  writer.tokenizer.chatTemplate = TEMPLATE.replace('{{ bos_token }}', '');
  return {
    device,
    folder,
    writer,
    stories: await loadTextModel(device, folder),
    vectors: await loadModel(device, join(checkpoints, 'rxnmapper-albert'), { head: 'none', onWarning: () => {} }),
    ranker: await loadModel(device, smallModel('bert-regression')),
    scripted: Object.assign(new Scripted(device, chat), {
      constrain: (format: ResponseFormat, options: ConstrainOptions) => constrain(chat, format, options),
    }),
    end: () => {
      device.dispose();
      rmSync(folder, { recursive: true });
    },
  };
}

/** The text that the model of stories writes after `prompt`, greedily and by itself. */
export async function storyAfter(stories: TextModel, prompt: string, maxNewTokens: number): Promise<string> {
  const { tokenizer } = stories;
  const ids = tokenizer.encode(prompt, { addSpecial: false });
  const { sequences } = await stories.generate([ids], { maxNewTokens, doSample: false });
  return tokenizer.decode(sequences[0] as number[]);
}
