// Models of test/data/families with a tokenizer beside them.
import { readFileSync } from 'node:fs';

const bytes = (path: string) => new Uint8Array(readFileSync(path));

/** The files of a model, its config changed, with the tokenizer of test/tasks/wordpiece or changes of its settings. */
export function smallModel(name: string, changes: object = {}, tokenizer: object = {}): Record<string, Uint8Array> {
  const changed = (path: string, values: object) =>
    new TextEncoder().encode(JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...values }));
  return {
    'config.json': changed(`test/data/families/${name}/config.json`, changes),
    'model.safetensors': bytes(`test/data/families/${name}/model.safetensors`),
    'tokenizer.json': bytes('test/tasks/wordpiece/tokenizer.json'),
    'tokenizer_config.json': changed('test/tasks/wordpiece/tokenizer_config.json', tokenizer),
  };
}
