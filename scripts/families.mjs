// docs/families.md: the families, their heads and the checkpoints by which they are tested, from the lists of the tests.
//
//   node scripts/families.mjs            # writes the page
//   node scripts/families.mjs --check    # fails if the page is out of date
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs/families.md');
const switches = 'test/data/switches';

const json = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'));

/** Heads by how the names of transformers' classes end. */
const heads = [
  ...readFileSync(join(root, 'src/pretrained/architectures.ts'), 'utf8').matchAll(/^ {2}\['(\w+)', '([\w-]+)'\],$/gm),
];

function familiesPage() {
  const folders = [
    ...rowsOf('families.json', 'test/data/reference'),
    ...rowsOf('reference3.json', 'test/data/reference3'),
    ...readdirSync(join(root, switches))
      .filter((name) => !name.includes('.'))
      .map((name) => row(`${switches}/${name}`, true)),
  ];
  const variants = json(root, 'test/pretrained/variants.json')
    .map(({ config, written }) => ({ ...kindOf(config), checkpoint: 'variants', tokens: Boolean(written) }))
    .filter(({ type }) => folders.every((each) => each.type !== type));
  const rows = [...folders, ...variants].sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
  const types = [
    ...readFileSync(join(root, 'src/models/registry.ts'), 'utf8').matchAll(/^ {2}'?([\w-]+)'?: \{ load:/gm),
  ];
  const others = types.map(([, type]) => type).filter((type) => rows.every((each) => each.type !== type));
  return `# Model families

<!-- made by node scripts/families.mjs -->

This page lists the families of models that load. A family is the \`model_type\` in a checkpoint's config.json. This command checks one
checkpoint, with every name and shape of its weights:

\`\`\`sh
npx simdformer info sentence-transformers/all-MiniLM-L6-v2
\`\`\`

[Checkpoints](models.md) lists widely used checkpoints of these families, and [GGUF](gguf.md) the architectures of GGUF files. The head \`none\` is a model without a head.

Each family has small random checkpoints as test cases. Tests compare the outputs, hidden states, attention maps, the loss and the gradient of
every parameter with transformers in float64. Cases of \`reference\` run on every instruction set, the others on one each.
All but \`variants\` also run in WebAssembly. Cases with a * also compare the tokens
of greedy and beam search. Cases are folders of
\`test/data\`; \`variants\` are those of \`variants.json\`. The tests are \`families.test.ts\`, \`families-2025.test.ts\`,
\`switches.test.ts\` and \`variants.test.ts\` in \`test/pretrained\`.

| \`model_type\` | heads in the tests | cases |
| --- | --- | --- |
${[...new Set(rows.map(({ type }) => type))].map((type) => lineOf(type, rows)).join('\n')}

These types share the code of a family above; some have tests of their own:

${others.map((type) => `- \`${type}\``).join('\n')}
`;
}

function lineOf(type, rows) {
  const cases = rows.filter((each) => each.type === type);
  const heads = [...new Set(cases.map(({ head }) => head))].sort();
  const names = [...new Set(cases.map(({ checkpoint }) => checkpoint))].map((checkpoint) => {
    const hasTokens = cases.some((each) => each.checkpoint === checkpoint && each.tokens);
    return `\`${checkpoint}\`${hasTokens ? '\\*' : ''}`;
  });
  return `| ${type} | ${heads.join(', ')} | ${names.join(', ')} |`;
}

/** The checkpoints of a list of test/pretrained, which lie in `folder`. */
function rowsOf(list, folder) {
  const { decoders, encoderDecoders, ...others } = json(root, 'test/pretrained', list);
  const rows = (names, writes) => names.map((name) => row(`${folder}/${name}`, writes));
  return [...rows([...decoders, ...encoderDecoders], true), ...rows(Object.values(others).flat(), false)];
}

/** The family and the head of a config.json. */
function kindOf({ model_type: type, architectures: [name] }) {
  const head = heads.find(([, suffix]) => name.endsWith(suffix))?.[2];
  if (head === undefined) throw new Error(`no head is known of ${name}`);
  return { type, head };
}

function row(checkpoint, writes) {
  const hasTokens =
    writes && Object.keys(json(root, checkpoint, 'reference.json')).some((key) => key.startsWith('greedy'));
  return {
    ...kindOf(json(root, checkpoint, 'config.json')),
    checkpoint: checkpoint.replace('test/data/', ''),
    tokens: hasTokens,
  };
}

const made = familiesPage();
if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== made) {
    console.error('docs/families.md is not what `node scripts/families.mjs` makes: run it');
    process.exit(1);
  }
} else {
  writeFileSync(`${page}.new`, made);
  renameSync(`${page}.new`, page);
}
