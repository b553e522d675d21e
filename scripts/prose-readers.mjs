// Readers of prose for scripts/prose.mjs. Each yields passages: the line they begin at, and their paragraphs as `text`.
import ts from 'typescript';

export const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

/** Instructions to tools are not prose. */
const DIRECTIVE = /^(biome-|@ts-|eslint|clang-format|NOLINT|#?[@#]__|\/|SPDX|<reference)/;

/** Comments of TypeScript and JavaScript: the text between tokens, as a template or a regular expression may contain `//`. */
export function* commentsOfScript(source, path) {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true);
  const found = [];
  const visit = (node) => {
    if (node.kind >= ts.SyntaxKind.FirstJSDocNode && node.kind <= ts.SyntaxKind.LastJSDocNode) return;
    const children = node.getChildren(file);
    if (children.length > 0) {
      for (const child of children) visit(child);
    } else if (node.kind !== ts.SyntaxKind.JsxText) {
      const trivia = source.slice(node.pos, node.getStart(file, false));
      for (const match of trivia.matchAll(COMMENT)) found.push({ start: node.pos + match.index, raw: match[0] });
    }
  };
  visit(file);
  yield* passages(source, found);
}

/** Comments of C++. Literals are matched first, so that `//` in a string counts as text. */
export function* commentsOfC(source) {
  const TOKEN = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  const found = [];
  for (const { 0: raw, index: start } of source.matchAll(TOKEN)) if (raw.startsWith('/')) found.push({ start, raw });
  yield* passages(source, found);
}

/** Joins `//` comments on consecutive lines. */
function* passages(source, comments) {
  let open = null;
  for (const { start, raw } of comments) {
    const lineStart = source.lastIndexOf('\n', start - 1) + 1;
    const standsAlone = source.slice(lineStart, start).trim() === '';
    const line = source.slice(0, start).split('\n').length;
    const isLine = raw.startsWith('//');
    if (open && isLine && standsAlone && line === open.line + open.raw.length) {
      open.raw.push(raw.slice(2));
      continue;
    }
    if (open) yield* passage(open);
    open = null;
    if (isLine && standsAlone) open = { line, raw: [raw.slice(2)] };
    else yield* passage({ line, raw: isLine ? [raw.slice(2)] : blockLines(raw) });
  }
  if (open) yield* passage(open);
}

const blockLines = (raw) =>
  raw
    .slice(2, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\*+/, ''));

function* passage({ line, raw }) {
  const text = paragraphs(raw.map((each) => each.replace(/^ /, '')));
  if (text.length > 0 && !DIRECTIVE.test(text[0])) yield { line, text, isComment: true };
}

/** Paragraphs end at blank lines, list items and tags. Indented lines and fenced blocks are code or tables. */
function paragraphs(lines) {
  const found = [];
  let current = '';
  let isFenced = false;
  const finish = () => {
    if (current.trim() !== '') found.push(plain(current.trim()));
    current = '';
  };
  for (const line of lines) {
    const text = line.trim();
    if (text.startsWith('```')) {
      isFenced = !isFenced;
      finish();
    } else if (isFenced || text === '' || /^( {4,}|\|)/.test(line) || / {3,}/.test(text)) finish();
    else {
      if (/^([-*•] |\d+\. |@\w|#+ )/.test(text)) finish();
      current += ` ${text.replace(/^([-*•] |\d+\. |@(param|returns|throws|example)\b|#+ )/, '')}`;
    }
  }
  finish();
  return found;
}

/** Text with code spans as a word each. */
export const withoutCode = (text) => text.replace(/``.+?``|`[^`]*`/g, 'code');

/** Text in which links count as one word each. */
const plain = (text) =>
  text
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/https?:\/\/\S+/g, 'link')
    .replace(/\*\*|__/g, '');

/** Paragraphs, list items and headings of a page. Code blocks and tables are skipped. */
export function* paragraphsOfMarkdown(source) {
  let block = [];
  let isFenced = false;
  const lines = [...source.split('\n'), ''];
  for (const [i, line] of lines.entries()) {
    const isFence = line.trim().startsWith('```');
    if (isFence) isFenced = !isFenced;
    const isItem = /^\s*([-*] |\d+\. |#+ )/.test(line);
    if (isFence || isFenced || line.trim() === '' || line.trim().startsWith('|') || isItem) {
      if (block.length > 0) yield { line: i - block.length + 1, text: paragraphs(block) };
      block = [];
    }
    if (!isFence && !isFenced && line.trim() !== '' && !line.trim().startsWith('|')) block.push(line.trim());
  }
}
