// The prose part of `npm run lint`: comments and pages have short sentences, plain first words and the field's terms.
// `node scripts/prose.mjs PATH…` checks some files or folders only. cspell checks the spelling (see cspell.json).
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { COMMENT, commentsOfC, commentsOfScript, paragraphsOfMarkdown, withoutCode } from './prose-readers.mjs';

const MAX_WORDS = 25;

/** A comment begins with a noun, a verb, or If/When. These words begin a clause that lacks its subject. */
const FIRST_WORDS = /^(what|that|those|of|whether|as|where|by|who|the same)\b/i;

/** A default without its colon, also across the end of a line. */
const UNMARKED_DEFAULT = /(?<=\. )Default (?=true\b|false\b|none\b|null\b|\d|['`])/;

/** Markdown takes this at the start of a comment for the target of a link, and does not show it. */
const LINK_TARGET = /^\[[^\]]*\]: /;

/** A comment that explains a name, such as a parameter. */
const EXPLAINED_NAME = /(?<=^|[.;] )`([a-z]\w*)`(?=:| (?:is|are|gives|has|tells|counts) )/g;

/** A member of a class or an interface, such as `Tensor.data`. */
const MEMBER = /`([A-Z]\w*)\.(\w+)/g;
const DECLARATION = /\b(?:class|interface) ([A-Z]\w*)(?:<[^{]*?>)?(?: (?:extends|implements) ([^{]+))?/g;

/** Terms that the project no longer uses, and their replacements. They are searched in comments, pages and code. */
const ABOLISHED = [
  [/\b[kK]eeping\b(?=\.)|\bletGo\b/, 'Recording'],
  [/\bstorePast\b|\bkStoresPast\b/, 'non-temporal store'],
  [/\bgiveWay\b/, 'yieldToEventLoop'],
  [/\b[rR]otaryPlaces\b/, 'RotaryContext, or AxisPositions'],
  [/\bplacesWithout\b/, 'positionsWithout'],
  [/\bRowPlaces\b/, 'RowLayout'],
  [/\bTokenPlace\b/, 'SequenceBounds'],
  [/\b(parameterPlaces|ParameterPlace)\b/, 'locatedParameters, LocatedParameter'],
  [/\bTurnOptions\b/, 'RotaryOptions'],
  [/\b(MOST|LONGEST|GREATEST|LARGEST)(?=_[A-Z]|\b)/, 'MAX_'],
  [/\bk(Most|Longest)[A-Z]/, 'kMax'],
  [/\b(LEAST|FEWEST|SMALLEST)(?=_[A-Z]|\b)/, 'MIN_'],
  [/\bturned\((?!['"`])/, 'transposed'],
  [/\b\w+By(Parts|Layers)\b|\bpausing[A-Z]\w+|\b[pP]ausable\b/, '…InParts'],
  [/\b\w+InSlices\b/, '…Async'],
  [/(?<=(?:\/\/|\*).*\b)Default (?=true\b|false\b|none\b|null\b|\d|['`])/, 'Default: …'],
  [/(?<!\b[Tt]here )\b(is|are) no (?!longer|more|less|better|worse|greater|larger|slower|faster)/, 'is not a …'],
];

const READERS = {
  '.ts': commentsOfScript,
  '.tsx': commentsOfScript,
  '.mts': commentsOfScript,
  '.mjs': commentsOfScript,
  '.h': commentsOfC,
  '.cc': commentsOfC,
  '.inc': commentsOfC,
  '.md': paragraphsOfMarkdown,
};

const words = (text) => text.match(/\p{L}[\p{L}\p{N}_'’.-]*/gu) ?? [];

/** Sentences end with a full stop, a question mark or an exclamation mark that a space or the end follows. */
const sentences = (paragraph) =>
  paragraph.replace(/\b(e\.g|i\.e|etc|vs|cf|al|Fig|Eq|No)\. /g, '$1 ').split(/(?<=[.!?]["'”’)]*)\s+/);

function* problemsOf({ text, isComment }) {
  for (const [i, paragraph] of text.entries()) {
    if (i === 0 && isComment && FIRST_WORDS.test(paragraph)) {
      yield `begins with "${words(paragraph)[0]}": ${paragraph.slice(0, 60)}`;
    }
    if (isComment && UNMARKED_DEFAULT.test(paragraph))
      yield `writes a default without a colon: ${paragraph.slice(-60)}`;
    if (isComment && LINK_TARGET.test(paragraph)) yield `begins like a link of Markdown: ${paragraph.slice(0, 60)}`;
    for (const sentence of sentences(withoutCode(paragraph))) {
      const count = words(sentence).length;
      if (count > MAX_WORDS) yield `${count} words, expected at most ${MAX_WORDS}: ${sentence.slice(0, 60)}…`;
    }
  }
}

/** Explained names that the code of the file does not have, such as the old name of a renamed parameter. */
function* unknownNames(text, code) {
  const explained = text.flatMap((paragraph) => [...paragraph.matchAll(EXPLAINED_NAME)].map(([, name]) => name));
  for (const name of explained) if (!code.has(name)) yield `explains \`${name}\`, which the file does not contain`;
}

/** Words of the files that declare a class or an interface of src, and the names that it extends; keys are its names. */
const declarations = new Map();
for (const path of execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'src'], { encoding: 'utf8' }).split(
  '\n',
)) {
  if (!/\.tsx?$/.test(path) || !existsSync(path)) continue;
  const code = readFileSync(path, 'utf8').replace(COMMENT, '');
  for (const [, name, extended = ''] of code.matchAll(DECLARATION)) {
    const { files, supers } = declarations.get(name) ?? { files: [], supers: [] };
    declarations.set(name, { files: [...files, code], supers: [...supers, ...(extended.match(/\b[A-Z]\w*/g) ?? [])] });
  }
}

/** True if a class or an interface, or one that it extends, has a member of this name. True for unknown ones. */
function hasMember(name, member, seen = new Set()) {
  const declared = declarations.get(name);
  if (declared === undefined || seen.has(name)) return seen.size === 0;
  seen.add(name);
  const word = new RegExp(`\\b${member}\\b`);
  return (
    declared.files.some((code) => word.test(code)) || declared.supers.some((each) => hasMember(each, member, seen))
  );
}

function* unknownMembers(text) {
  for (const [, name, member] of text.flatMap((paragraph) => [...paragraph.matchAll(MEMBER)]))
    if (!hasMember(name, member)) yield `names \`${name}.${member}\`, which ${name} does not have`;
}

function check(path) {
  const source = readFileSync(path, 'utf8');
  const problems = [];
  const code = new Set(source.replace(COMMENT, '').match(/\w+/g));
  for (const passage of READERS[extname(path)](source, path)) {
    const isOfScript = READERS[extname(path)] === commentsOfScript;
    const found = [
      ...problemsOf(passage),
      ...unknownMembers(passage.text),
      ...(isOfScript ? unknownNames(passage.text, code) : []),
    ];
    problems.push(...found.map((problem) => `${path}:${passage.line}: ${problem}`));
  }
  for (const [i, line] of source.split('\n').entries()) {
    for (const [term, instead] of ABOLISHED) {
      const [found] = line.match(term) ?? [];
      if (found !== undefined) problems.push(`${path}:${i + 1}: "${found}" is written as ${instead}`);
    }
  }
  return problems;
}

const given = process.argv.slice(2);
const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...given], { encoding: 'utf8' });
const isWithin = (path, folder) => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
const isChecked = (path) =>
  extname(path) in READERS &&
  existsSync(path) &&
  path !== 'scripts/prose.mjs' &&
  !isWithin(path, 'test/data') &&
  !isWithin(path, 'models') &&
  !isWithin(path, 'bench/results');

const problems = listed.split('\n').filter(isChecked).flatMap(check);
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error(`\n${problems.length} problems. CONTRIBUTING.md, "Style", has the rules.`);
  process.exit(1);
}
