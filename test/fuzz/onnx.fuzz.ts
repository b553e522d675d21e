// The reader of ONNX files gets arbitrary bytes, and files that are right but for a few changes. It gives a FormatError,
// or weights that lie inside the file and can be read. To run it for 30 seconds:
//   npm run fuzz -- onnx 30
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { FormatError } from '../../src/core/errors.js';
import { inMemory } from '../../src/io/byte-source.js';
import { readOnnx } from '../../src/io/onnx.js';
import { ProtobufReader } from '../../src/io/protobuf.js';
import { graphWeights } from '../../src/pretrained/onnx/graph-weights.js';
import { node, ONNX_TYPES, onnxModel, tensor } from '../onnx-file.js';
import { orFormatError, withoutTraces } from './checked.js';
import { variants } from './variants.js';

/** Parts of real files: some of the nodes and initializers of each graph. */
const seeds: Uint8Array[] = [];
for (const name of ['bert/onnx/model_q4f16', 'bert-sequence/onnx/model_quantized', 't5/onnx/decoder_model_merged']) {
  const file = new Uint8Array(readFileSync(`test/data/formats/onnx/${name}.onnx`));
  for (const share of [0, 0.3, 0.6, 0.9]) seeds.push(graphOf(await fieldsOf(file, share)));
}

/** Constants that exporters and optimizers compute ahead. */
const values = (count: number) => new Uint8Array(4 * count).fill(61);
const read = (name: string, op: string, inputs: string[], output = `${name}_output_0`) =>
  node({ name, op, inputs, output });
seeds.push(
  onnxModel(
    [
      tensor('onnx::Add_1', [1, 2, 4, 4], ONNX_TYPES.float, values(32)),
      tensor('onnx::Mul_2', [4, 1], ONNX_TYPES.float, values(4)),
      tensor('onnx::Conv_3', [2, 2, 1, 1], ONNX_TYPES.float, values(4)),
      tensor('Attention_0_qkv_weight', [2, 6], ONNX_TYPES.float, values(12)),
      tensor('Attention_0_qkv_bias', [6], ONNX_TYPES.float, values(6)),
      tensor('RelPosBias_0', [4, 2], ONNX_TYPES.float, values(8)),
      tensor('onnx::Exp_4', [1], ONNX_TYPES.float, values(1)),
    ],
    [
      read('/layers/layers.0/attention/Add', 'Add', ['x', 'onnx::Add_1']),
      read('/norm/Mul', 'Mul', ['x', 'onnx::Mul_2']),
      read('/embed/Conv', 'Conv', ['x', 'onnx::Conv_3']),
      read(
        'Attention_0',
        'Attention',
        ['x', 'Attention_0_qkv_weight', 'Attention_0_qkv_bias'],
        '/self/Reshape_output_0',
      ),
      read('RelPosBias', 'RelativePositionBias', ['RelPosBias_0']),
      read('/block/Add_1', 'Add', ['x', 'RelPosBias_output_0']),
      read('/Exp', 'Exp', ['onnx::Exp_4']),
      read('/flow/Exp', 'Exp', ['onnx::Mul_2']),
    ],
  ),
);

let files = 0;
process.on('exit', () => console.log(`${files} files`));

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    for (const file of [bytes, graphOf(bytes)]) await checkFile(file);
    for (const file of variants(bytes, seeds)) await checkFile(file);
  });
}

async function checkFile(file: Uint8Array): Promise<void> {
  files++;
  try {
    const graph = await readOnnx(inMemory(file));
    const { named, unnamed, folded } = await graphWeights(graph, () => inMemory(new Uint8Array(64)));
    const joined = [...folded.attention.values()].flatMap(({ weight, bias }) => [weight ?? [], bias ?? []].flat());
    for (const weight of [
      ...named.values(),
      ...unnamed.map(({ entry }) => entry),
      ...folded.single.values(),
      ...joined,
    ]) {
      if (weight.size > 1e6) continue; // sizes of matrices in blocks are held against their data when those are read
      const values = await orFormatError(() => weight.data());
      if (values !== undefined) assert.equal(values.length, weight.size);
    }
  } catch (error) {
    if (error instanceof FormatError) return;
    console.error(`the file was ${Buffer.from(file).toString('base64')}`);
    throw error;
  }
}

/** A model whose graph these bytes are. */
function graphOf(graph: Uint8Array): Uint8Array {
  const length: number[] = [];
  let rest = graph.length;
  do {
    length.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Uint8Array.from([0x3a, ...length, ...graph]);
}

/** Fields of the graph, from a share of it on: as many as a small file has room for. */
async function fieldsOf(file: Uint8Array, share: number): Promise<Uint8Array> {
  const reader = new ProtobufReader(inMemory(file));
  for await (const graph of reader.fields(0, file.length)) {
    if (graph.number !== 7) continue;
    let [start, end] = [graph.start, graph.start];
    for await (const field of reader.fields(graph.start, graph.end)) {
      if (end < graph.start + share * (graph.end - graph.start)) start = field.end;
      else if (field.end - start > 6000) break;
      end = field.end;
    }
    return file.slice(start, end);
  }
  throw new Error('there is no graph');
}
