// src/tasks/transformers/model-names.ts and processor-names.ts: the names of transformers.js for classes of one model, as
// other names of the Auto classes. They come from test/tasks/transformers-js.json, which has the classes of
// transformers.js, and from the families.
//
//   node scripts/transformers-names.mjs            # writes the files
//   node scripts/transformers-names.mjs --check    # fails if they are out of date
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (...path) => readFileSync(join(root, ...path), 'utf8');
const { classes } = JSON.parse(read('test/tasks/transformers-js.json'));
const families = readdirSync(join(root, 'src/models/families')).map((file) => read('src/models/families', file));
const names = new Set(families.flatMap((text) => [...text.matchAll(/\bclassName: '(\w+)'/g)].map(([, name]) => name)));
names.add('RFDetr'); // RfDetr in transformers

/** Auto classes by the ending of names that differ from theirs. The first ending that fits counts. */
const ENDINGS = [
  ['TextModel', 'CLIPTextModel'],
  ['TextModelWithProjection', 'CLIPTextModel'],
  ['VisionModel', 'CLIPVisionModel'],
  ['VisionModelWithProjection', 'CLIPVisionModel'],
  ['AudioModelWithProjection', 'ClapAudioModelWithProjection'],
  ['LMHeadModel', 'AutoModelForCausalLM'],
  ['MTModel', 'AutoModelForSeq2SeqLM'],
  ['ForImageSuperResolution', 'AutoModelForImageToImage'],
  ['ForSegmentation', 'AutoModelForImageSegmentation'],
  ['ForTextToSpeech', 'AutoModelForTextToSpectrogram'],
  ['ForMaskedLM', 'AutoModelForMaskedLM'],
  ['ForCausalLM', 'AutoModelForCausalLM'],
  ['ForSequenceClassification', 'AutoModelForSequenceClassification'],
  ['ForTokenClassification', 'AutoModelForTokenClassification'],
  ['ForQuestionAnswering', 'AutoModelForQuestionAnswering'],
  ['ForImageClassification', 'AutoModelForImageClassification'],
  ['ForObjectDetection', 'AutoModelForObjectDetection'],
  ['ForSemanticSegmentation', 'AutoModelForSemanticSegmentation'],
  ['ForImageSegmentation', 'AutoModelForImageSegmentation'],
  ['ForDepthEstimation', 'AutoModelForDepthEstimation'],
  ['ForAudioClassification', 'AutoModelForAudioClassification'],
  ['ForAudioFrameClassification', 'AutoModelForAudioFrameClassification'],
  ['ForXVector', 'AutoModelForXVector'],
  ['ForCTC', 'AutoModelForCTC'],
  ['ForConditionalGeneration', 'AutoModelForSeq2SeqLM'],
  ['Model', 'AutoModel'],
];

/** Classes whose names tell too little. */
const OWN = {
  SamModel: 'AutoModelForMaskGeneration',
  SpeechT5HifiGan: 'AutoModel',
  VisionEncoderDecoderModel: 'AutoModelForVision2Seq',
  VitsModel: 'AutoModelForTextToWaveform',
  OwlViTForObjectDetection: 'AutoModelForZeroShotObjectDetection',
  Owlv2ForObjectDetection: 'AutoModelForZeroShotObjectDetection',
};

const READS_IMAGES =
  /^(Florence2|Gemma3|Gemma4|Idefics3|Lfm2Vl|PaliGemma|Qwen\w*VL|Qwen3_5(Moe)?|SmolVLM)ForConditionalGeneration$/;

/** Names that begin with that of a family: its models, and its kinds of tokenizers and processors. */
function familyOf(name) {
  const found = [...names].filter((family) => name.startsWith(family) && /^([A-Z]|$)/.test(name.slice(family.length)));
  return found.sort((a, b) => b.length - a.length)[0];
}

function modelClass(name) {
  if (Object.hasOwn(OWN, name)) return OWN[name];
  if (/^(Whisper|Moonshine)ForC/.test(name)) return 'AutoModelForSpeechSeq2Seq';
  if (READS_IMAGES.test(name)) return 'AutoModelForImageTextToText';
  return ENDINGS.find(([ending]) => name.endsWith(ending) && names.has(name.slice(0, -ending.length)))?.[1];
}

/** Tokenizers, processors, and all that prepares inputs. Tokenizers' files tell their kind, whatever the family. */
function inputClass(name) {
  if (/Tokenizer$/.test(name)) return 'AutoTokenizer';
  return /(Processor|FeatureExtractor)$/.test(name) && familyOf(name) ? 'AutoProcessor' : undefined;
}

const sorted = (of, own) =>
  classes
    .map((name) => [name, of(name)])
    .filter(([name, auto]) => auto !== undefined && !name.startsWith('Auto') && !own.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));

/** A statement that exports the names; the order is Biome's. */
function statement(pairs, module) {
  const lines = pairs
    .map(([name, auto]) => `  ${auto} as ${name},\n`)
    .sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
  return `export {\n${lines.join('')}} from './${module}.js';\n`;
}

const inputs = sorted(inputClass, []);
const files = {
  'model-names.ts': statement(
    sorted(modelClass, ['CLIPTextModel', 'CLIPVisionModel', 'ClapAudioModelWithProjection']),
    'auto-model',
  ),
  'processor-names.ts': ['processor', 'tokenizer']
    .map((kind) =>
      statement(
        inputs.filter(([, auto]) => auto.toLowerCase() === `auto${kind}`),
        `auto-${kind}`,
      ),
    )
    .join(''),
};
for (const [file, text] of Object.entries(files)) {
  const path = join('src/tasks/transformers', file);
  const content = `// Made by node scripts/transformers-names.mjs: transformers.js' names for classes of one model.\n\n${text}`;
  if (process.argv[2] !== '--check') writeFileSync(join(root, path), content);
  else if (read(path) !== content) throw new Error(`${path} is out of date: node scripts/transformers-names.mjs`);
}
