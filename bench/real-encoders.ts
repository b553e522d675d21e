// Encoders of texts, images and sounds at the sizes that people use, with random weights, beside ONNX Runtime and
// OpenVINO in float32. The last rows tell how many times faster than real time speech is read and spoken on one core.
// Python makes the models, in .cache/bench: pip install torch transformers onnx onnxruntime openvino
//
//     PYTHON=venv/bin/python npm run bench -- real-encoders --only 'ViT'

import { fileURLToPath } from 'node:url';
import { createDevice, type Device, type GenerateOptions, type Tensor } from '../src/index.js';
import { loadModel } from '../src/pretrained/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { OURS, OURS_IN_INT8, patterned, sampleOf } from './harness/ours.js';
import { Peer } from './harness/peer.js';
import { asContestant } from './harness/peers.js';

const FOLDER = fileURLToPath(new URL('../.cache/bench', import.meta.url));
/** Period of the inputs' pattern, the same as in bench/peers/real_encoders.py. */
const PERIOD = 1021;

/** An input of floats, or of ids below a number. */
interface Input {
  readonly shape: readonly number[];
  readonly below: number | null;
}

interface Encoder {
  /** The class of transformers. */
  readonly model: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, Input>>;
  /** The kind by which ONNX Runtime's optimizer knows the model. */
  readonly kind?: 'bert' | 'vit';
  readonly part?: 'encoder';
}

const ids = (...shape: number[]): Encoder['inputs'] => ({ input_ids: { shape, below: 30000 } });
const floats = (name: string, ...shape: number[]): Encoder['inputs'] => ({ [name]: { shape, below: null } });
const sizes = (layers: number, width: number, heads: number) => ({
  num_hidden_layers: layers,
  hidden_size: width,
  num_attention_heads: heads,
  intermediate_size: 4 * width,
});
const bert = (layers: number, width: number, inputs: Encoder['inputs']): Encoder => ({
  model: 'BertModel',
  config: sizes(layers, width, width === 384 ? 12 : width / 64),
  inputs,
  kind: 'bert',
});
const whisper = (layers: number, width: number): Encoder => ({
  model: 'WhisperModel',
  config: {
    d_model: width,
    encoder_layers: layers,
    decoder_layers: 1,
    encoder_attention_heads: width / 64,
    decoder_attention_heads: width / 64,
    encoder_ffn_dim: 4 * width,
    decoder_ffn_dim: 4 * width,
  },
  inputs: floats('input_features', 1, 80, 3000),
  part: 'encoder',
});

const encoders: Readonly<Record<string, Encoder>> = {
  'MiniLM, 8 × 128 tokens': bert(6, 384, ids(8, 128)),
  'BGE base, 1 × 128 tokens': bert(12, 768, ids(1, 128)),
  'BGE base, 8 × 128 tokens': bert(12, 768, ids(8, 128)),
  'shape of BGE-M3, 1 × 512 tokens': bert(24, 1024, ids(1, 512)),
  'cross-encoder of 6 × 384, 100 pairs of 256 tokens': bert(6, 384, ids(100, 256)),
  'ViT-B/16, an image of 224²': {
    model: 'ViTModel',
    config: sizes(12, 768, 12),
    inputs: floats('pixel_values', 1, 3, 224, 224),
    kind: 'vit',
  },
  'wav2vec 2.0 base, 10 s of sound': {
    model: 'Wav2Vec2Model',
    config: sizes(12, 768, 12),
    inputs: floats('input_values', 1, 160_000),
  },
  'Whisper tiny, encodes 30 s': whisper(4, 384),
  'Whisper base, encodes 30 s': whisper(6, 512),
};

/** Seconds of sound in the rows of one core. */
const SOUND = 10;

interface Speech {
  readonly model: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Does the work once. Returns the seconds of its sound. */
  run(model: SpeechModel, device: Device): Promise<number>;
}

interface SpeechModel {
  forward(inputs: Readonly<Record<string, unknown>>): Readonly<Record<string, Tensor>>;
  generate(inputs: Tensor, options: GenerateOptions): Promise<unknown>;
  speak(rows: readonly (readonly number[])[], options: { seed: number }): Promise<readonly Float32Array[]>;
  dispose(): void;
}

const speech: Readonly<Record<string, Speech>> = {
  'Moonshine tiny, 60 tokens of 10 s of sound': {
    model: 'MoonshineForConditionalGeneration',
    config: {
      hidden_size: 288,
      intermediate_size: 1152,
      encoder_num_hidden_layers: 6,
      decoder_num_hidden_layers: 6,
      encoder_num_attention_heads: 8,
      decoder_num_attention_heads: 8,
      partial_rotary_factor: 0.9,
    },
    async run(model, device) {
      const x = patterned(device, [1, SOUND * 16_000], PERIOD);
      await model.generate(x, { maxNewTokens: 60, minNewTokens: 60, numBeams: 1 });
      x.dispose();
      return SOUND;
    },
  },
  'Parakeet CTC 0.6B, 10 s of sound': {
    model: 'ParakeetForCTC',
    config: {},
    async run(model, device) {
      const x = patterned(device, [1, SOUND * 100, 80], PERIOD);
      const logits = device.noGrad(() => model.forward({ inputFeatures: x }).logits as Tensor);
      await logits.data();
      for (const tensor of [x, logits]) tensor.dispose();
      return SOUND;
    },
  },
  'VITS (MMS-TTS), a sentence of 80 characters': {
    model: 'VitsModel',
    config: {},
    async run(model) {
      const text = Array.from({ length: 161 }, (_, i) => (i % 2 === 0 ? 0 : 1 + (i % 30)));
      const [samples] = await model.speak([text], { seed: 1 });
      return (samples as Float32Array).length / 16_000;
    },
  },
};

export default {
  question: 'How fast are encoders of real sizes, beside ONNX Runtime and OpenVINO, and speech on one core?',
  async run(run) {
    const how = 'PYTHON names one with torch, transformers, onnx, onnxruntime and openvino.';
    const peer = await run.peer('Python', how, async () => {
      const started = Peer.python('real_encoders.py');
      const versions = await started.ask<Record<string, string>>({ do: 'versions', args: {} });
      for (const [name, version] of Object.entries(versions)) run.version(name, version);
      return [started, 'of PYTHON'] as const;
    });
    if (peer === null) return; // Python makes the models
    for (const [name, encoder] of Object.entries(encoders))
      if (run.wants(name)) await compare(run, peer, name, encoder);
    for (const [name, given] of Object.entries(speech)) if (run.wants(name)) await speak(run, peer, name, given);
  },
} satisfies Bench;

const folderOf = (name: string) => `${FOLDER}/${name.replaceAll(/[^\w]+/g, '-')}`;

/** Compares our model in float32 and in int8 with the peers in float32. */
async function compare(run: Run, peer: Peer, name: string, encoder: Encoder): Promise<void> {
  const { model, config, inputs, kind = null, part = null } = encoder;
  const [folder, threads] = [folderOf(name), run.threads];
  await peer.ask({ do: 'make', args: { folder, model, config, inputs, part } });
  await peer.ask({ do: 'load', args: { folder, threads, kind, config } });
  const device = await createDevice({ threads });
  run.version(OURS, describeDevice(device));
  const peers = ['ONNX Runtime', 'OpenVINO'].flatMap((name) =>
    asContestant(name, peer, (repeats) => ({ do: 'run', args: { name, inputs, repeats } })),
  );
  for (const weights of ['float32', 'int8'] as const) {
    const ours = await loadModel(device, folder, { weights });
    const who = weights === 'int8' ? OURS_IN_INT8 : OURS;
    const outcome = await contest([forward(who, device, ours as unknown as Runs, encoder), ...peers], {
      rounds: run.rounds(9),
      tolerance: weights === 'int8' ? 0.25 : 1e-3, // rounding to integers changes results by some hundredths
      turn: 0.3,
      seconds: 20,
    });
    run.row(weights === 'int8' ? `${name}, int8` : name, outcome);
    ours.dispose();
  }
  device.dispose();
}

interface Runs {
  encode(x: Tensor): { hidden: Tensor };
  forward(inputs: Readonly<Record<string, unknown>>): { lastHiddenState: Tensor };
}

function forward(name: string, device: Device, model: Runs, { inputs, part }: Encoder): Contestant {
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, below }]) => {
      const key = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      return [key, below === null ? patterned(device, shape, PERIOD) : idRows(shape, below)];
    }),
  );
  const pass = () =>
    part === 'encoder' ? model.encode(Object.values(given)[0] as Tensor).hidden : model.forward(given).lastHiddenState;
  return {
    name,
    take: (repeats) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) {
        device.scope(() => void device.noGrad(pass));
        device.flushSync();
      }
      const seconds = (performance.now() - start) / 1e3 / repeats;
      return device.scope(() => ({ seconds, sample: sampleOf(device.noGrad(pass).dataSync()) }));
    },
  };
}

/** Returns rows of ids, the same as those of the peers. */
function idRows([rows, length]: readonly number[], below: number): number[][] {
  return Array.from({ length: rows as number }, (_, row) =>
    Array.from({ length: length as number }, (__, i) => ((row * (length as number) + i) * 7919) % below),
  );
}

async function speak(run: Run, peer: Peer, name: string, { model, config, run: work }: Speech): Promise<void> {
  const folder = folderOf(name);
  await peer.ask({ do: 'make', args: { folder, model, config, inputs: null, part: null } });
  const device = await createDevice({ threads: 1 });
  const ours = (await loadModel(device, folder)) as unknown as SpeechModel;
  let sound = 0;
  const take = async (repeats: number) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) sound = await work(ours, device);
    return { seconds: (performance.now() - start) / 1e3 / repeats };
  };
  const outcome = await contest([{ name: OURS, take }], { rounds: run.rounds(7), turn: 0.3, seconds: 20 });
  run.row(`${name}, one core`, outcome, { 'times real time': sound / (outcome.times[OURS]?.median as number) });
  ours.dispose();
  device.dispose();
}
