// From bench/results/*.json: the table of docs/speed.md, between its two comments, bench/results/README.md with all tables, and the
// chart.
//
//   node scripts/bench-readme.mjs
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scaleLog } from 'd3-scale';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const OURS = 'simdformer';
const BEGIN = '<!-- made by npm run bench:readme -->';
const END = '<!-- until here -->';

/** All results, in this order; what the README shows of each. */
const sections = [
  { bench: 'encoder', title: 'Encoder, a forward pass', headlines: /./ },
  {
    bench: 'attention',
    title: 'Attention, 12 heads × 64',
    headlines: /^T (128|1024|4096)(, causal)?$|^T 1024, backward/,
  },
  { bench: 'train', title: 'A training step', headlines: /./ },
  { bench: 'gemm', title: 'Matrix products', headlines: /^linear (8|512|2048): (512→2048|3072→768)/ },
  { bench: 'pretrained', title: 'Pretrained models in float32', headlines: /./ },
  { bench: 'decode', title: 'Generation, 32 tokens from 32', headlines: /./ },
  { bench: 'pointwise', title: 'Ops that move memory' },
  { bench: 'wasm', title: 'WebAssembly, one thread', headlines: /encoder|import/ },
  { bench: 'memory', title: 'Memory of an agent, three models in one process', headlines: /./ },
  { bench: 'contention', title: 'Beside others' },
  { bench: 'start', title: 'Start', headlines: /./ },
  { bench: 'javascript', title: 'TypeScript alone' },
  { bench: 'growth', title: 'Growth with the size of the work' },
];

const results = sections.flatMap(({ bench, title, headlines }) => {
  const path = join(root, 'bench/results', `${bench}.json`);
  if (!existsSync(path)) return [];
  return [{ ...JSON.parse(readFileSync(path, 'utf8')), title, headlines }];
});
if (results.length === 0) {
  console.error('bench/results has no results; make some: npm run bench -- all');
  process.exit(1);
}

const digits = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

function duration(seconds) {
  if (seconds < 1e-3) return `${digits(seconds * 1e6)} µs`;
  return seconds < 1 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds)} s`;
}

/** The peer that is hardest to beat, and how many times as fast we are; null without peers. */
function hardest({ ratios }) {
  const peers = Object.entries(ratios).sort(([, a], [, b]) => a - b);
  return peers.length === 0 ? null : { name: peers[0][0], ratio: peers[0][1] };
}

function tableRow(row) {
  const { what, times, ofLimit, figures } = row;
  const peers = Object.entries(times).filter(([name]) => name !== OURS);
  const best = hardest(row);
  const ratio = best === null ? '' : shownRatio(best.ratio);
  const others = peers.map(([name, { median }]) => `${name} ${duration(median)}`).join(', ');
  const limit = ofLimit === undefined ? '' : `${(100 * ofLimit).toFixed(0)} %`;
  const told = Object.entries(figures).map(([name, value]) => `${name} ${digits(value)}`);
  return `| ${[what, duration(times[OURS].median), others, ratio, limit, told.join(', ')].join(' | ')} |`;
}

const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

/** A table of the growth: each axis with the exponents of time and memory relative to theory. */
function growthTable() {
  const growth = results.find(({ bench }) => bench === 'growth');
  if (growth === undefined) return [];
  const exponents = new Map();
  for (const [name, value] of Object.entries(growth.summary)) {
    const [, quantity, what] = /^(time|memory) of (.*): exponent relative to theory$/.exec(name);
    exponents.set(what, { ...exponents.get(what), [quantity]: value.toFixed(2) });
  }
  const rows = [...exponents].map(([what, { time, memory = '' }]) => {
    const sizes = growth.rows.filter((row) => row.what.startsWith(`${what}, `));
    const [from, to] = [sizes[0], sizes.at(-1)].map((row) => row.what.slice(what.length + 2));
    return `| ${[what, `${from.split(' ')[0]} to ${to}`, time, memory].join(' | ')} |`;
  });
  const head = '| work | sizes | exponent of time | of memory |\n|---|---|---:|---:|';
  return [
    '## Growth with the size of the work',
    `Time and memory are measured at several sizes. A line through their logarithms gives an exponent. The table shows its \
ratio to the exponent of theory: at 1.00, time grows exactly like the theoretical work, and below 1 more slowly. \
\`npm run bench -- growth\` (${growth.date.slice(0, 10)}, ${growth.commit}) made it.`,
    [head, ...rows].join('\n'),
  ];
}

function section({ title, bench, rows, summary, notes, commit, date }) {
  const head = `| ${title} | ${OURS} | peers | ratio | of the limit | |\n|---|---|---|---|---|---|`;
  const means = Object.entries(summary).map(([name, value]) => `${capitalized(name)}: ${value.toFixed(2)}.`);
  const below = [
    `\`npm run bench -- ${bench}\` (${date.slice(0, 10)}, ${commit}).`,
    ...means,
    ...notes.map((note) => `${note}.`),
  ];
  const picture = bench === 'growth' ? '\n\n![Time and memory beside theory](growth.svg)' : '';
  return `${[head, ...rows.map(tableRow)].join('\n')}\n\n${below.join(' ')}${picture}`;
}

const shownRatio = (ratio) => `${ratio.toFixed(2)}${ratio < 0.995 ? ' (slower)' : ''}`;

/** The fastest peer or, without peers, the limit, and the ratio to it. */
function besides(row) {
  const best = hardest(row);
  if (best !== null) return [`${best.name} ${duration(row.times[best.name].median)}`, shownRatio(best.ratio)];
  if (row.ofLimit === undefined || row.ofLimit === null) return ['', ''];
  return [`the limit ${duration(row.times[OURS].median * row.ofLimit)}`, row.ofLimit.toFixed(2)];
}

/** One table of what matters most, beside the hardest peer. */
function headlineTable() {
  const rows = results.flatMap(({ bench, title, rows, headlines }) => {
    const chosen = rows.filter((row) => headlines?.test(row.what));
    return chosen.map((row, i) => {
      const { what, times } = row;
      const [heading, command] = i === 0 ? [`**${title}**: `, `\`npm run bench -- ${bench}\``] : ['', ''];
      return `| ${[heading + what, duration(times[OURS].median), ...besides(row), command].join(' | ')} |`;
    });
  });
  return [`| work | ${OURS} | fastest peer, or the limit | ratio | command |`, '|---|---:|---|---:|---|', ...rows].join(
    '\n',
  );
}

/** Names the machine of some results, and the limits that they found. */
function describeMachine(measured) {
  const [{ machine, threads }] = measured;
  const best = (what) =>
    Math.max(...measured.map(({ machineLimits }) => machineLimits[`${what} with ${threads} threads`] ?? 0)).toFixed(0);
  return `${machine.cores} cores of ${machine.cpu} (${machine.system}). They reach ${best('GFLOP/s')} GFLOP/s and \
${best('GB/s from memory')} GB/s from memory`;
}

function introduction() {
  const [{ machine, threads }] = results;
  const versions = Object.assign({}, ...results.map((result) => result.versions));
  // OpenBLAS tells how it was built, too.
  const peers = Object.entries(versions).map(
    ([name, version]) => `${name} ${/\bv?\d\S*/.exec(version)?.[0] ?? version}`,
  );
  const isHere = (result) => result.machine.cpu === machine.cpu;
  const elsewhere = results.filter((result) => !isHere(result));
  const exceptions = elsewhere.map(
    (result) => `- The machine of "${result.title}" is another: ${describeMachine([result])}.\n`,
  );
  return `How to read the tables:

- The machine is ${describeMachine(results.filter(isHere))}.
${exceptions.join('')}- All contestants have ${threads} threads and run in turn, after a check that their results agree. Times are medians.
- The ratio is the speed of ${OURS} relative to the fastest peer. Above 1, ${OURS} is faster.
- The limit is the minimum time that the machine's arithmetic or memory allows, measured in the same run. A ratio to it is the share that is reached.
- Versions: \`${peers.join(', ')}\`.`;
}

const escapeXml = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** Bars from 1 to the ratio beside the hardest peer, on a logarithmic axis. */
function chart() {
  const bars = results.flatMap((result) => {
    return result.rows.flatMap((row) => {
      const best = hardest(row);
      return best === null || result.bench === 'contention' || result.bench === 'start'
        ? []
        : [{ what: row.what, title: result.title, ...best }];
    });
  });
  const [left, width, line, top] = [330, 860, 18, 46];
  const extent = bars.map(({ ratio }) => ratio);
  const x = scaleLog([Math.min(0.5, ...extent) * 0.95, Math.max(2, ...extent) * 1.05], [left, width - 150]);
  const height = top + line * (bars.length + new Set(bars.map(({ title }) => title)).size) + 12;
  const parts = [];
  let y = top;
  let group = '';
  for (const { what, title, name, ratio } of bars) {
    if (title !== group) {
      parts.push(`<text x="8" y="${y + 13}" class="title">${escapeXml(title)}</text>`);
      group = title;
      y += line;
    }
    const [from, to] = [Math.min(x(1), x(ratio)), Math.max(x(1), x(ratio))];
    parts.push(
      `<text x="${left - 10}" y="${y + 13}" text-anchor="end">${escapeXml(what)}</text>`,
      `<rect x="${from.toFixed(1)}" y="${y + 3}" width="${(to - from).toFixed(1)}" height="${line - 6}" class="${ratio < 1 ? 'slower' : 'faster'}"/>`,
      `<text x="${(to + 6).toFixed(1)}" y="${y + 13}">${ratio.toFixed(2)} × ${escapeXml(name)}</text>`,
    );
    y += line;
  }
  const ticks = [0.25, 0.5, 1, 2, 4, 8, 16].filter((value) => value >= x.domain()[0] && value <= x.domain()[1]);
  const axis = ticks.map(
    (value) =>
      `<line x1="${x(value).toFixed(1)}" x2="${x(value).toFixed(1)}" y1="${top - 6}" y2="${height - 8}" class="${value === 1 ? 'one' : 'tick'}"/>` +
      `<text x="${x(value).toFixed(1)}" y="${top - 12}" text-anchor="middle">${value}×</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>How many times as fast as its fastest peer simdformer is</title>
<style>
  text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .tick { stroke: #8884 } .one { stroke: #888 }
  .faster { fill: #2a9d6f } .slower { fill: #d1495b } @media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>
<text x="8" y="18" class="title">Times as fast as the fastest peer</text>
${[...axis, ...parts].join('\n')}
</svg>
`;
}

function replace(path, text) {
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

const readmePath = join(root, 'docs/speed.md');
const readme = readFileSync(readmePath, 'utf8');
const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
if (begin < 0 || end < begin) {
  console.error(`docs/speed.md has no section between ${BEGIN} and ${END}`);
  process.exit(1);
}
const more = '[bench/results](../bench/results/README.md) has all tables, also those in which simdformer is slower.';
const text = [introduction(), headlineTable(), more, ...growthTable()].join('\n\n');
replace(readmePath, `${readme.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${readme.slice(end)}`);
const picture = '![Times as fast as the fastest peer](chart.svg)';
const all = ['# Speed', introduction(), picture, ...results.map(section)].join('\n\n');
replace(join(root, 'bench/results/README.md'), `${all}\n`);
replace(join(root, 'bench/results/chart.svg'), chart());
console.log(`docs/speed.md and bench/results: ${results.map(({ bench }) => bench).join(', ')}`);
