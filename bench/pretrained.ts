// Popular models from the hub, beside other libraries that run them.
//
// python3 scripts/models.py && npm run bench -- pretrained
//
// CTranslate2 converts with Python's transformers: PYTHON=venv/bin/python after pip install ctranslate2 transformers
// torch.

import { createDevice } from '../src/index.js';
import type { Bench } from './harness/bench.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';
import { ctranslate2 } from './harness/peers.js';
import { measureLoading } from './pretrained/loading.js';
import { measureMiniLM } from './pretrained/minilm.js';
import { measureSmolLM } from './pretrained/smollm.js';
import { measureWhisper } from './pretrained/whisper.js';

export default {
  question:
    'How fast are MiniLM, SmolLM2 and Whisper in float32, beside ONNX Runtime, transformers.js and CTranslate2?',
  async run(run) {
    const peer = await ctranslate2(run);
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    await measureMiniLM(run, device, peer);
    await measureWhisper(run, device, peer);
    await measureSmolLM(run, device);
    await measureLoading(run);
    device.dispose();
  },
} satisfies Bench;
