// A forward pass of BERT's layers, beside ONNX Runtime and PyTorch with the same weights.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDevice } from '../src/index.js';
import { saveSafetensors } from '../src/io/index.js';
import type { Bench } from './harness/bench.js';
import { contest } from './harness/contest.js';
import {
  type EncoderBatch,
  encoderBatches,
  encoderSizes,
  encoderWork,
  makeEncoder,
  PERIOD,
  recordEncoder,
  stackOf,
} from './harness/encoders.js';
import { describeDevice } from './harness/machine.js';
import { OURS, OURS_IN_BFLOAT16, PYTORCH_IN_BFLOAT16, recorded } from './harness/ours.js';
import { asContestant, onnxruntime, pytorch } from './harness/peers.js';
import { encoderOnnx } from './peers/encoder-onnx.js';

/**
 * Tolerance of results. Contestants add in different orders; a dozen layers in float32 keep the difference below this.
 */
const TOLERANCE = 1e-3;

export default {
  question: 'How fast is an encoder of 12 × 768 or 6 × 384, beside ONNX Runtime and PyTorch?',
  async run(run) {
    const ort = await onnxruntime(run);
    const torch = await pytorch(run, 'encoder_torch.py');
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    for (const [name, sizes] of Object.entries(encoderSizes)) {
      const batches = encoderBatches.filter((batch) => run.wants(nameOf(name, batch)));
      if (batches.length === 0) continue;
      const model = makeEncoder(device, sizes);
      // A model of its own, because products in float32 rearrange its weights, and those in bfloat16 restore them.
      const inLower = makeEncoder(device, sizes);
      const folder = mkdtempSync(join(tmpdir(), 'simdformer-encoder-'));
      try {
        const [onnx, weights] = [join(folder, 'encoder.onnx'), join(folder, 'encoder.safetensors')];
        writeFileSync(onnx, encoderOnnx(stackOf(model), sizes));
        await ort?.ask({ load: onnx, threads: run.threads });
        await saveSafetensors(weights, stackOf(model).stateDict());
        await torch?.ask({ load: weights, ...sizes });
      } finally {
        rmSync(folder, { recursive: true });
      }
      for (const batch of batches) {
        const { program, dispose } = recordEncoder(device, model, batch);
        const [sequences, tokens] = batch;
        const question = (repeats: number) => {
          return { batch: sequences, tokens, dModel: sizes.dModel, period: PERIOD, repeats };
        };
        const peers = [...asContestant('ONNX Runtime', ort, question), ...asContestant('PyTorch', torch, question)];
        const lower = device.withMatmul('bfloat16', () => recordEncoder(device, inLower, batch));
        const inBfloat16 = [
          { ...recorded(device, lower.program), name: OURS_IN_BFLOAT16 },
          ...asContestant(PYTORCH_IN_BFLOAT16, torch, (repeats) => ({ ...question(repeats), autocast: true })),
        ].map((contestant) => ({ ...contestant, isReference: true }));
        const work = encoderWork(sizes, batch);
        const limit = run.limits.contestant(work, run.threads);
        const outcome = await contest([recorded(device, program), ...peers, ...inBfloat16, limit], {
          rounds: run.rounds(11),
          tolerance: TOLERANCE,
          seconds: 5,
        });
        const speed = work.flops / (outcome.times[OURS]?.median as number);
        run.row(nameOf(name, batch), outcome, { 'GFLOP/s': speed / 1e9 });
        dispose();
        lower.dispose();
      }
      for (const encoder of [model, inLower]) encoder.dispose();
    }
    device.dispose();
  },
} satisfies Bench;

const nameOf = (encoder: string, [batch, tokens]: EncoderBatch) => `${encoder}, ${batch} × ${tokens} tokens`;
