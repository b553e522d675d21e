// whisper-tiny.en: encoding 30 seconds of sound, and generating the text.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device, Tensor } from '../../src/index.js';
import type { Whisper } from '../../src/models/families/whisper.js';
import { loadModel, readWav } from '../../src/pretrained/index.js';
import type { WhisperFeatureExtractor } from '../../src/pretrained/processors/whisper.js';
import type { Run } from '../harness/bench.js';
import { type Contestant, contest } from '../harness/contest.js';
import type { Work } from '../harness/limits.js';
import { OURS, sampleOf } from '../harness/ours.js';
import type { Peer } from '../harness/peer.js';
import { asContestant } from '../harness/peers.js';
import { modelFolder } from './model-folder.js';

const SPEECH = 'test/data/checkpoints/real/jfk-16k.wav';

export async function measureWhisper(run: Run, device: Device, peer: Peer | null): Promise<void> {
  const folder = modelFolder(run, 'whisper-tiny.en');
  if (folder === null) return;
  const model = await loadModel(device, folder);
  await peer?.ask({ whisper: join(folder, 'ctranslate2') });
  const work = mkdtempSync(join(tmpdir(), 'simdformer-pretrained-'));
  try {
    const processor = model.processor as WhisperFeatureExtractor;
    const { data, shape } = processor.process([readWav(readFileSync(SPEECH)).channels[0] as Float32Array]);
    const features = join(work, 'features');
    writeFileSync(features, data);
    const input = device.tensor(data, shape);
    const whisper = model as unknown as Whisper;
    const { hidden } = whisper.encode(input);
    const encoded = hidden.reshape(1, ...whisper.encodedShape);
    const question = { features, bins: processor.featureSize, prompt: [whisper.startId] };
    const tasks: { what: string; ours: Contestant; asked: object; work: Work }[] = [
      {
        what: 'Whisper tiny.en, encoding 30 s',
        ours: encoding(device, whisper, input),
        asked: question,
        work: encodingWork(whisper),
      },
      {
        what: 'Whisper tiny.en, writing 24 tokens',
        ours: writing(whisper, encoded),
        asked: { ...question, prompt: [...question.prompt, NO_TIMESTAMPS], decode: true },
        work: writingWork(whisper),
      },
    ];
    for (const { what, ours, asked, work } of tasks) {
      if (!run.wants(what)) continue;
      const peers = asContestant('CTranslate2', peer, (repeats) => ({ ...asked, repeats }));
      const outcome = await contest([ours, ...peers, run.limits.contestant(work, run.threads)], {
        rounds: run.rounds(11),
        tolerance: 1e-2,
        turn: 0.2,
        seconds: 8,
      });
      run.row(what, outcome);
    }
  } finally {
    rmSync(work, { recursive: true });
    model.dispose();
  }
}

/** Counts the multiplications of the layers and of the convolutions before them. */
function encodingWork({ encoder, maxSourceLength: places, spectrogram }: Whisper): Work {
  const weights = encoder.parameters().reduce((sum, { size }) => sum + size, 0);
  const dModel = encoder.norm?.weight?.size ?? 0;
  const attention = 4 * encoder.layers.length * places * places * dModel;
  const flops = 2 * places * (weights + 2 * spectrogram.conv1.weight.size + spectrogram.conv2.weight.size) + attention;
  return { flops, bytes: 4 * weights };
}

/** Counts the work of 25 steps. Each reads the weights, and the keys and values of the encoder's output. */
function writingWork({ decoder, targetTokens, maxSourceLength: places }: Whisper): Work {
  const weights = decoder.parameters().reduce((sum, { size }) => sum + size, targetTokens.weight.size);
  const heard = 2 * decoder.layers.length * places * (targetTokens.weight.shape[1] as number);
  return { steps: [[25, { reads: 1, writes: 0, bytes: 4 * (weights + heard) }]] };
}

/**
 * First token of a text without times. CTranslate2 gets it as part of the prompt; our side generates it as an
 * additional token.
 */
const NO_TIMESTAMPS = 50362;

function encoding(device: Device, model: Whisper, input: Tensor): Contestant {
  const encode = () => device.noGrad(() => model.encode(input).hidden);
  return {
    name: OURS,
    take: (repeats) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) {
        device.scope(() => void encode());
        device.flushSync();
      }
      const seconds = (performance.now() - start) / 1e3 / repeats;
      return device.scope(() => ({ seconds, sample: sampleOf(encode().dataSync()) }));
    },
  };
}

function writing(model: Whisper, encoded: Tensor): Contestant {
  return {
    name: OURS,
    take: async (repeats) => {
      let last: readonly number[] = [];
      const start = performance.now();
      for (let i = 0; i < repeats; i++) last = (await model.generate(encoded)).sequences[0] as number[];
      return { seconds: (performance.now() - start) / 1e3 / repeats, sample: last.slice(1) };
    },
  };
}
