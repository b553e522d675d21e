// Runs a model with CTC on a recording: the tokens of its best path, and when it hears them.
import { rowOf } from '../../../traced.js';
import type { Guest } from './guest.js';
import { type Heard, MAX_COLUMNS, MAX_ROWS, samplesOf, transcribe, withoutHeads } from './listen.js';
import { softmaxed } from './pass.js';

/** Throws Complaint for a file that is not a recording. */
export async function listenCtc(guest: Guest, name: string, file: Uint8Array): Promise<Heard> {
  const { model, device } = guest;
  const { samples, extractor } = samplesOf(guest, file);
  const { text } = await transcribe(guest, samples, extractor.samplingRate);
  const { data, shape } = extractor.process([samples]);
  const input = model.takes('inputValues') ? 'inputValues' : 'inputFeatures';
  const reading = device.noGrad(() =>
    device.scope(() => {
      const { logits } = model.forward({ [input]: device.tensor(data, shape) });
      return logits && { shape: logits.shape.slice(1), data: logits.data() };
    }),
  );
  const logits = { shape: reading?.shape ?? [0, 0], data: (await reading?.data) as Float32Array };
  const [frames] = logits.shape as [number, number];
  const probabilities = softmaxed(logits);
  const path = Array.from({ length: frames }, (_, frame) => highest(rowOf(probabilities, frame)));
  const blank = Number(model.config.pad_token_id ?? 0);
  const all = path.flatMap((id, frame) => (id !== blank && id !== path[frame - 1] ? [frame] : []));
  const starts = all.slice(0, MAX_ROWS);
  const heard = starts.map((frame) => path[frame] as number);
  const columns = Math.min(MAX_COLUMNS, frames);
  const values = new Float32Array(heard.length * columns);
  for (const [row, id] of heard.entries())
    for (let frame = startOf(heard, starts, row); frame < endOf(heard, starts, row, frames); frame++) {
      const at = row * columns + Math.floor((frame * columns) / frames);
      values[at] = Math.max(values[at] as number, rowOf(probabilities, frame)[id] as number);
    }
  const recording = { guest, name, text, samples, samplingRate: extractor.samplingRate, columns };
  return withoutHeads(recording, heard, values, 'ctc');
}

function highest(row: Float32Array): number {
  return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
}

/** The frames that a row shows: halfway from the same token before it, to halfway to the same token after it. */
function startOf(heard: readonly number[], starts: readonly number[], row: number): number {
  const before = heard.lastIndexOf(heard[row] as number, row - 1);
  return row === 0 || before < 0 ? 0 : Math.ceil(((starts[before] as number) + (starts[row] as number)) / 2);
}

function endOf(heard: readonly number[], starts: readonly number[], row: number, frames: number): number {
  const after = heard.indexOf(heard[row] as number, row + 1);
  return after < 0 ? frames : Math.ceil(((starts[row] as number) + (starts[after] as number)) / 2);
}
