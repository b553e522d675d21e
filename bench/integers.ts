// Products of packed weights with int8 rows, beside a bare loop of vpdpbusd and beside the float32 product; and the
// same without AVX-512.

import { createDevice, type Device, type Tensor } from '../src/index.js';
import { PackedWeight } from '../src/nn/index.js';
import { linear, type PackedFormat, transpose } from '../src/ops/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { LIMIT } from './harness/limits.js';
import { describeDevice } from './harness/machine.js';
import { OURS, patterned } from './harness/ours.js';
import { geometricMean } from './harness/statistics.js';
import { randomBlocks } from './real/random-gguf.js';

const FLOATS = 'float32';
const formats: readonly PackedFormat[] = ['int8', 'q8_0', 'q4_1', 'q4_k', 'q6_k'];
const rows = [1, 8, 16, 128, 512];
const layers = [
  [576, 1536],
  [1536, 576],
  [768, 3072],
] as const;
/** Products in one recorded program. Their number makes the cost of a call from JavaScript negligible. */
const MIN_OPERATIONS = 2e8;
const MAX_COPIES = 32;
/** Products of at least this many rows count in the summary. */
const MIN_SUMMED = 128;

export default {
  question: 'How near do products of packed integers come to what the machine multiplies?',
  async run(run) {
    const limit = (await run.limits.byteOperations(run.threads)) > 0;
    if (!limit) run.note('This machine has no VNNI: products have no limit beside them');
    for (const isa of [undefined, 'avx2'] as const) {
      const device = await createDevice({ threads: run.threads, ...(isa ? { isa } : {}) });
      run.version(isa ? `${OURS}, ${isa}` : OURS, describeDevice(device));
      for (const format of formats) await measure(run, device, format, isa ? `, ${isa}` : '', limit && !isa);
      device.dispose();
    }
  },
} satisfies Bench;

/** A packed weight of this shape: `floats` if the engine can pack them, else any blocks. */
function weightOf(floats: Tensor, format: PackedFormat): PackedWeight {
  const { device } = floats;
  if (device.formats.get(format)?.made) return PackedWeight.fromTensor(floats, format);
  const [rows, columns] = floats.shape as [number, number];
  return PackedWeight.fromBlocks(device, format, [rows, columns], randomBlocks(format.toUpperCase(), rows, columns));
}

/** A contestant that runs a recorded program of `copies` equal products. */
function recorded(
  device: Device,
  name: string,
  copies: number,
  product: () => Tensor,
): Contestant & { dispose(): void } {
  const program = device.noGrad(() => device.record(() => Array.from({ length: copies }, product).at(-1)));
  const take = (repeats: number) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) program.run();
    device.flushSync();
    return { seconds: (performance.now() - start) / 1e3 / repeats / copies };
  };
  return { name, take, dispose: () => program.dispose() };
}

async function measure(run: Run, device: Device, format: PackedFormat, suffix: string, limited: boolean) {
  const shares: number[] = [];
  const besideFloats: number[] = [];
  const { inputs: inBlock } = device.formats.get(format) as { inputs: number };
  const fitting = layers.filter(([inputs]) => inputs % inBlock === 0);
  const products = fitting.flatMap(([inputs, outputs]) => rows.map((count) => ({ inputs, outputs, count })));
  for (const { inputs, outputs, count } of products) {
    const what = `${format}, ${count}: ${inputs}→${outputs}${suffix}`;
    if (!run.wants(what) || (suffix !== '' && count < MIN_SUMMED)) continue;
    const x = patterned(device, [count, inputs], 1021);
    const floats = patterned(device, [outputs, inputs], 1019);
    const weight = weightOf(floats, format);
    const w = device.noGrad(() => transpose(floats));
    const operations = 2 * count * inputs * outputs;
    const copies = Math.ceil(Math.min(MAX_COPIES, MIN_OPERATIONS / operations));
    const isLarge = count >= MIN_SUMMED;
    const contestants = [
      recorded(device, OURS, copies, () => weight.linear(x, null)),
      recorded(device, FLOATS, copies, () => linear(x, w)),
    ];
    const reference = limited ? [run.limits.contestant({ byteOperations: operations }, run.threads)] : [];
    const outcome = await contest([...contestants, ...reference], {
      rounds: run.rounds(5),
      seconds: 1,
      turn: 0.05,
      warming: 0.1,
    });
    run.row(what, outcome, { 'GOP/s': operations / (outcome.times[OURS]?.median as number) / 1e9 });
    if (isLarge && limited) shares.push(outcome.shares[LIMIT] as number);
    if (isLarge) besideFloats.push(outcome.ratios[FLOATS] as number);
    for (const { dispose } of contestants) dispose();
    for (const each of [x, floats, w, weight]) each.dispose();
  }
  if (shares.length > 0) run.summary[`${format}, part of the limit from 128 rows on`] = geometricMean(shares);
  if (besideFloats.length > 0)
    run.summary[`${format}${suffix}, times float32 from 128 rows on`] = geometricMean(besideFloats);
}
