// Reduces the declarations that tsc writes to those that users can reach: types that an entry of the package exports, and
// all that these name.
import { join, resolve } from 'node:path';
import ts from 'typescript';

/** The text of a file without public types. */
const EMPTY = '';

/** Statements of a file that declare something, without imports and exports of other files. */
const isDeclaration = (statement) => !ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement);

/** Calls `visit` with all identifiers inside a node. */
function eachIdentifier(node, visit) {
  if (ts.isIdentifier(node)) visit(node);
  ts.forEachChild(node, (child) => eachIdentifier(child, visit));
}

/** The declarations that entries reach, as a set of statements. */
function reached(checker, entries) {
  const found = new Set();
  const reach = (symbol) => {
    if (symbol === undefined) return;
    const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    for (let node of own.declarations ?? []) {
      while (node.parent && !ts.isSourceFile(node.parent)) node = node.parent;
      if (node.parent) found.add(node);
    }
  };
  for (const entry of entries) {
    for (const statement of entry.statements.filter(isDeclaration)) found.add(statement);
    checker.getExportsOfModule(checker.getSymbolAtLocation(entry)).forEach(reach);
  }
  // A set's loop also visits what is added meanwhile.
  for (const statement of found) eachIdentifier(statement, (name) => reach(checker.getSymbolAtLocation(name)));
  return found;
}

/** The statement where a symbol is declared is in `kept`, or in another package. */
function isKept(symbol, checker, kept) {
  const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  return (own.declarations ?? []).some((node) => {
    while (node.parent && !ts.isSourceFile(node.parent)) node = node.parent;
    return kept.has(node) || node.getSourceFile().fileName.includes('/node_modules/');
  });
}

/** True for an `export *` of a file without public types. */
function isEmptyStar({ exportClause, moduleSpecifier }, checker, kept) {
  if (exportClause !== undefined) return false;
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(moduleSpecifier));
  return !exported.some((symbol) => isKept(symbol, checker, kept));
}

/** The text of an import or export with those of its names that `isUsed` accepts. Statements without a list stay. */
function withNames(statement, isUsed) {
  const clause = ts.isImportDeclaration(statement) ? statement.importClause : statement;
  const list = clause?.namedBindings ?? statement.exportClause;
  if (list?.elements === undefined || clause.name !== undefined) return statement.getFullText();
  const used = list.elements.filter(isUsed);
  if (used.length === 0) return '';
  const isTypeOnly = clause.isTypeOnly || used.every((element) => element.isTypeOnly);
  const names = used.map((element) => element.getText().replace(isTypeOnly ? /^type / : '', ''));
  const word = `${ts.isImportDeclaration(statement) ? 'import' : 'export'}${isTypeOnly ? ' type' : ''}`;
  const from = statement.moduleSpecifier ? ` from ${statement.moduleSpecifier.getText()}` : '';
  return `\n${word} { ${names.join(', ')} }${from};`;
}

/** The text of a file with only the declarations in `kept`, and with the imports that these use. */
function reduced(file, checker, kept) {
  const used = new Set();
  const exported = (element) => {
    const target = checker.getExportSpecifierLocalTargetSymbol(element);
    const isUsed = target === undefined || isKept(target, checker, kept);
    if (isUsed) used.add((element.propertyName ?? element.name).text);
    return isUsed;
  };
  const texts = new Map();
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement) && isEmptyStar(statement, checker, kept)) continue;
    if (ts.isExportDeclaration(statement)) texts.set(statement, withNames(statement, exported));
    else if (kept.has(statement)) {
      texts.set(statement, statement.getFullText());
      eachIdentifier(statement, ({ text }) => used.add(text));
    }
  }
  for (const statement of file.statements.filter(ts.isImportDeclaration))
    texts.set(
      statement,
      withNames(statement, ({ name }) => used.has(name.text)),
    );
  const text = file.statements.map((statement) => texts.get(statement) ?? '').join('');
  if (text.trim() === '') return EMPTY;
  // The comment of the first statement is lost if it is an import.
  const references = file.text.match(/^\/\/\/ <reference .*\n/gm)?.filter((line) => !text.includes(line.trim())) ?? [];
  return `${references.join('')}${shortened(text.trim())}\n`;
}

/** Indents by tabs. Comments begin and end without lines of their own. */
function shortened(text) {
  return text
    .replaceAll(/^(?: {4})+/gm, (indent) => '\t'.repeat(indent.length / 4))
    .replaceAll(/\/\*\*\n\s*\* /g, '/** ')
    .replaceAll(/\n\s*\*\//g, ' */');
}

/** The files with types of `entries`, paths relative to `root`, as texts by path. */
export function publicTypes(root, entries) {
  const options = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, types: [], noEmit: true };
  const paths = entries.map((path) => resolve(root, path));
  const program = ts.createProgram(paths, { ...options, skipLibCheck: true });
  const checker = program.getTypeChecker();
  const kept = reached(
    checker,
    paths.map((path) => program.getSourceFile(path)),
  );
  const own = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(join(root, 'dist')));
  const texts = own.map((file) => [resolve(file.fileName), reduced(file, checker, kept)]);
  return new Map(texts.filter(([, text]) => text !== EMPTY));
}
