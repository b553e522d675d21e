// npm run check:python: loads models and adapters that were trained here in Python's transformers and PEFT, and theirs
// here. Logits must be equal on both sides.
//
//     SIMDFORMER_PYTHON=venv/bin/python npm run check:python
//
// Python needs packages: pip install torch transformers peft. The models are those of test/data/families,
// one of each kind.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const python = process.env.SIMDFORMER_PYTHON ?? 'python3';
const families = resolve(root, 'test/data/families');

const fail = (message) => {
  console.error(`check:python: ${message}`);
  process.exit(1);
};

if (!existsSync(join(families, 'SOURCE.txt'))) fail(`${families} is missing, whose models are exchanged`);
const found = spawnSync(python, ['-c', 'import torch, transformers, peft'], { encoding: 'utf8' });
if (found.error) fail(`${python} cannot be run (${found.error.message}): give another by SIMDFORMER_PYTHON`);
if (found.status !== 0)
  fail(`${python} lacks a package: pip install torch transformers peft\n${found.stderr.trim().split('\n').at(-1)}`);

const work = mkdtempSync(join(tmpdir(), 'simdformer-python-'));
const tsx = fileURLToPath(import.meta.resolve('tsx'));
const exchange = (name) => join(root, 'test', 'python', name);
const run = (command, args) => {
  const env = { ...process.env, TRANSFORMERS_VERBOSITY: 'error', HF_HUB_OFFLINE: '1', PYTHONWARNINGS: 'ignore' };
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', env }).status === 0;
};
try {
  const isGood = [
    () => run(python, [exchange('exchange.py'), 'make', families, work]),
    () => run(process.execPath, ['--import', tsx, exchange('exchange.ts'), families, work]),
    () => run(python, [exchange('exchange.py'), 'check', families, work]),
  ].every((step) => step());
  if (!isGood) fail('the two sides do not agree');
} finally {
  rmSync(work, { recursive: true });
}
