// docs/families.md: the families, their heads and the checkpoints by which they are tested, from the lists of the tests.
//
//   node scripts/families.mjs            # writes the page
//   node scripts/families.mjs --check    # fails if the page is out of date
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const page = join(root, 'docs/families.md');
const cases = 'test/data/families';

const json = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'));

/** Heads by how the names of transformers' classes end. */
const heads = [
  ...readFileSync(join(root, 'src/pretrained/architectures.ts'), 'utf8').matchAll(/^ {2}\['(\w+)', '([\w-]+)'\],$/gm),
];

function familiesPage() {
  const folders = readdirSync(join(root, cases), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => row(name))
    .sort((a, b) => (a.checkpoint < b.checkpoint ? -1 : 1));
  const variants = json(root, 'test/pretrained/variants.json')
    .map(({ config, written }) => ({ ...kindOf(config), checkpoint: 'variants', tokens: Boolean(written) }))
    .filter(({ type }) => folders.every((each) => each.type !== type));
  const rows = [...folders, ...variants].sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
  const types = [
    ...readFileSync(join(root, 'src/models/registry.ts'), 'utf8').matchAll(/^ {2}'?([\w-]+)'?: \{\s+load:/gm),
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
every parameter with transformers in float64. They run on each instruction set and in WebAssembly. Cases with a * also compare the tokens
of greedy and beam search. Cases are folders of \`test/data/families\`, and the test is \`test/pretrained/families.test.ts\`. \`variants\` stands
for cases of \`variants.json\`, which \`variants.test.ts\` runs on one instruction set.

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

/** The family and the head of a config.json. */
function kindOf({ model_type: type, architectures: [name] }) {
  const named = heads.find(([, suffix]) => name.endsWith(suffix))?.[2];
  const head = named ?? (name.includes('For') ? undefined : 'none');
  if (head === undefined) throw new Error(`no head is known of ${name}`);
  return { type, head };
}

function row(name) {
  const written = json(root, cases, name, 'reference.json');
  return {
    ...kindOf(json(root, cases, name, 'config.json')),
    checkpoint: name,
    tokens: Object.keys(written).some((key) => key.startsWith('greedy')),
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
