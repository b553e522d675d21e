// The reader of torch.save's files gets arbitrary bytes, and files that are right but for a few changes. It gives a
// FormatError, or tensors that lie inside the file and can be read. It never runs anything. To run it for 30 seconds:
//   npm run fuzz -- pickle 30
import assert from 'node:assert';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { FormatError } from '../../src/core/errors.js';
import { bytesOf, inMemory } from '../../src/io/byte-source.js';
import { unpickle } from '../../src/io/pickle.js';
import { readTorchFile } from '../../src/io/torch-file.js';
import { readZip, ZipData } from '../../src/io/zip.js';
import { zip } from '../pretrained/weight-files.js';
import { withoutTraces } from './checked.js';
import { variants } from './variants.js';

const data = 'test/data/formats/bin/hostile';
/** Small files, sound ones and hostile ones, that are changed. */
const seeds = readdirSync(data)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => new Uint8Array(readFileSync(`${data}/${name}`)))
  .filter(({ byteLength }) => byteLength > 0 && byteLength < 1500);
/** The pickles of those that are archives: their sums would not fit any more if archives alone were changed. */
const pickles = (await Promise.all(seeds.map(pickleIn))).filter((pickle) => pickle !== null);

let files = 0;
process.on('exit', () => console.log(`${files} files`));

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    for (const file of [bytes, archive(bytes)]) await checkFile(file);
    checkPickle(bytes);
    for (const file of variants(bytes, seeds)) await checkFile(file);
    for (const pickle of variants(bytes, pickles)) await checkFile(archive(pickle));
    assert.ok(!existsSync('should-not-exist'));
  });
}

async function checkFile(file: Uint8Array): Promise<void> {
  files++;
  try {
    const { tensors } = await readTorchFile(inMemory(file));
    for (const entry of tensors.values()) {
      const size = entry.shape.reduce((product, n) => product * n, 1);
      assert.equal(entry.size, size);
      assert.equal(entry.data().length, size);
    }
  } catch (error) {
    if (error instanceof FormatError) return;
    console.error(`the file was ${Buffer.from(file).toString('base64')}`);
    throw error;
  }
}

/** The machine alone, without anything that it could refer to. */
function checkPickle(bytes: Uint8Array): void {
  try {
    const { end } = unpickle(bytes, { globalOf: () => undefined, persistent: () => null });
    assert.ok(end <= bytes.byteLength);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
}

async function pickleIn(file: Uint8Array): Promise<Uint8Array | null> {
  const source = inMemory(file);
  const records = await readZip(source).catch(() => null);
  const record = [...(records?.values() ?? [])].find(({ name }) => name.endsWith('/data.pkl'));
  if (record === undefined) return null;
  return bytesOf(new ZipData(source, record), 0, record.byteLength).catch(() => null);
}

/** An archive of a pickle and a storage of six float32 values. */
function archive(pickle: Uint8Array): Uint8Array {
  return zip([
    ['archive/data.pkl', pickle],
    ['archive/data/0', new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)],
  ]);
}
