// Records results of transformers.js 4.3.2 for the tokenizer of wordpiece/ and for its small functions:
//
//   npx tsx test/tasks/make_transformers_js.mjs   (from a folder with the package, by npm i --ignore-scripts
// @huggingface/transformers)
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { tensorPrograms } from './tensor-programs.ts';

const here = dirname(fileURLToPath(import.meta.url));
const path = createRequire(join(process.cwd(), 'x.js')).resolve('@huggingface/transformers');
const api = await import(pathToFileURL(path).href);
const { AutoTokenizer, cos_sim, dot, env, mean_pooling, softmax, Tensor } = api;
env.allowRemoteModels = false;
env.localModelPath = here;
const tokenizer = await AutoTokenizer.from_pretrained('wordpiece');
const texts = ['Anna lives in London, the cat sat on a mat!', 'a big red dog'];
const plain = (encoded) =>
  Object.fromEntries(
    Object.entries(encoded).map(([name, { dims, type, data }]) => [
      name,
      { dims, type, data: Array.from(data, Number) },
    ]),
  );
// Not with truncation: transformers.js cuts the last special token off, transformers in Python does not.
const calls = [
  [texts[0], {}],
  [texts, { padding: true }],
  [texts[0], { text_pair: texts[1] }],
  [texts[1], { add_special_tokens: false }],
  [texts[1], { return_token_type_ids: false }],
].map(([given, options]) => ({ given, options, encoded: plain(tokenizer(given, options)) }));
const lists = [
  [texts, {}],
  [texts[1], {}],
].map(([given, options]) => ({ given, encoded: tokenizer(given, { ...options, return_tensor: false }) }));
const messages = [{ role: 'user', content: texts[1] }];
const chat_template = '{{ greeting }} {% for m in messages %}{{ m.content }}{% endfor %}';
const chat = [{ return_tensor: false }, {}, { return_dict: false, return_tensor: false }, { tokenize: false }].map(
  (options) => {
    const said = tokenizer.apply_chat_template(messages, { ...options, chat_template, greeting: 'a cat' });
    return { options, said: 'return_tensor' in options || 'tokenize' in options ? said : plain(said) };
  },
);
const { model_max_length, padding_side, all_special_ids, all_special_tokens, chat_template: none } = tokenizer;
const members = { model_max_length, padding_side, all_special_ids, all_special_tokens, chat_template: none };
tokenizer.padding_side = 'left';
const left = plain(tokenizer(texts, { padding: true }));
tokenizer.padding_side = 'right';
const ids = tokenizer.encode(texts[0]);
const hidden = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
const mask = BigInt64Array.from([1n, 1n, 0n, 1n, 0n, 0n]);
const pooled = mean_pooling(new Tensor('float32', hidden, [2, 3, 4]), new Tensor('int64', mask, [2, 3]));
const [a, b] = [
  [1, 2, 3.5],
  [-2, 0.5, 4],
];
const rounded = ({ type, dims, data }) => ({
  type,
  dims,
  data: Array.from(data, (x) => Number(Number(x).toPrecision(7))),
});
const tensors = Object.fromEntries(
  await Promise.all(Object.entries(tensorPrograms).map(async ([name, program]) => [name, rounded(await program(api))])),
);
// The streamer of Whisper: what it tells of a transcript, with neighbouring pieces of text as one.
const whisper = await AutoTokenizer.from_pretrained('whisper');
const written =
  '<|startoftranscript|><|en|><|transcribe|><|0.00|> a cät sat<|1.50|><|1.50|> on a mat.<|2.96|><|endoftext|>';
const transcript = whisper.encode(written, { add_special_tokens: false });
const told = [];
const tell = (name) => (value) => {
  if (name === 'text' && told.at(-1)?.[0] === 'text') told.at(-1)[1] += value;
  else told.push([name, value ?? null]);
};
const seen = [];
const streamer = new api.WhisperTextStreamer(whisper, {
  skip_prompt: true,
  callback_function: tell('text'),
  on_chunk_start: tell('start'),
  on_chunk_end: tell('end'),
  on_finalize: tell('finalize'),
  token_callback_function: (tokens) => seen.push(...tokens.map(Number)),
});
streamer.put([transcript.slice(0, 3).map(BigInt)]);
for (const token of transcript.slice(3)) streamer.put([[BigInt(token)]]);
streamer.end();

writeFileSync(
  join(here, 'transformers-js.json'),
  `${JSON.stringify(
    {
      calls,
      lists,
      chat,
      members,
      left,
      vocabulary: Object.fromEntries(tokenizer.get_vocab()),
      converted: [tokenizer.convert_tokens_to_ids('cat'), tokenizer.convert_tokens_to_ids(['a', 'cat'])],
      ids,
      decoded: [tokenizer.decode(ids), tokenizer.decode(ids, { skip_special_tokens: true })],
      batch: tokenizer.batch_decode([ids, ids.slice(2, 5)], { skip_special_tokens: true }),
      pooled: Array.from(pooled.data),
      dot: dot(a, b),
      cos_sim: cos_sim(a, b),
      softmax: softmax(a),
      whisper: { transcript, told, seen },
      log_softmax: api.log_softmax(a),
      tensors,
      classes: Object.keys(api).filter((name) => /^[A-Z]/.test(name)),
    },
    null,
    1,
  )}\n`,
);
