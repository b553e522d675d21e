// Reads the options of all public functions from their types, so that a test of all options cannot forget a new one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { WrongValue } from './wrong-values.js';

/** An option, or a field of one that is an object. */
export interface PublicOption {
  readonly name: string;
  readonly isRequired: boolean;
  /** False for an optional property whose type lacks undefined. */
  readonly takesUndefined: boolean;
  /** The strings that an enumeration accepts. Empty for all other options. */
  readonly choices: readonly string[];
  /** The kinds of values that the type refuses. */
  readonly refuses: readonly WrongValue[];
  /** The fields of an option that is a plain object or a list of these. */
  readonly fields: readonly PublicOption[];
  readonly isList: boolean;
}

/** A function, a constructor or a method that takes options. */
export interface PublicFunction {
  /** `softmax`, `new AdamW`, `AdamW#step`, `BpeTokenizer.train`, or `type FillMask` for an exported type of functions. */
  readonly name: string;
  readonly options: readonly PublicOption[];
}

const root = join(import.meta.dirname, '..', '..');

/** All functions with options that the package exports, from any of its subpaths. */
export function publicFunctions(): PublicFunction[] {
  const entries = entryFiles();
  const wrong = join(import.meta.dirname, 'wrong-values.ts');
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} };
  const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.json'), {}, host);
  const options = { ...config?.options, noEmit: true, incremental: false };
  const program = ts.createProgram([...entries, wrong], options);
  const reader = new Reader(program.getTypeChecker(), program.getSourceFile(wrong) as ts.SourceFile);
  for (const entry of entries) reader.readModule(program.getSourceFile(entry) as ts.SourceFile);
  return reader.functions();
}

/** The index.ts of each subpath. */
function entryFiles(): string[] {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const types = Object.values(exports).map((path) => (path as { types?: string }).types ?? '');
  const own = types.filter((path) => path.endsWith('.d.ts') && !path.includes('*'));
  return [...new Set(own)].map((path) => join(root, path.replace('dist', 'src').replace('.d.ts', '.ts')));
}

class Reader {
  private readonly wrongTypes: ReadonlyMap<WrongValue, ts.Type>;
  private readonly types = new Map<ts.SignatureDeclaration, { name: string; types: ts.Type[] }>();

  constructor(
    private readonly checker: ts.TypeChecker,
    wrongFile: ts.SourceFile,
  ) {
    const values = this.exportsOf(wrongFile).find(({ name }) => name === 'wrongValues') as ts.Symbol;
    const properties = checker.getTypeOfSymbol(values).getProperties();
    this.wrongTypes = new Map(properties.map((each) => [each.name as WrongValue, checker.getTypeOfSymbol(each)]));
  }

  readModule(file: ts.SourceFile): void {
    for (const symbol of this.exportsOf(file)) this.readSymbol(symbol);
  }

  /** The functions that were found. Overloads are one function, which takes what any of them takes. */
  functions(): PublicFunction[] {
    const byName = new Map<string, ts.Type[]>();
    for (const { name, types } of this.types.values()) byName.set(name, [...(byName.get(name) ?? []), ...types]);
    return [...byName].map(([name, types]) => ({ name, options: this.optionsOf(types) }));
  }

  private exportsOf(file: ts.SourceFile): ts.Symbol[] {
    const symbols = this.checker.getExportsOfModule(this.checker.getSymbolAtLocation(file) as ts.Symbol);
    return symbols.map((each) => (each.flags & ts.SymbolFlags.Alias ? this.checker.getAliasedSymbol(each) : each));
  }

  private readSymbol(symbol: ts.Symbol): void {
    const { checker } = this;
    const isType = (symbol.flags & (ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias)) !== 0;
    if (isType && isOwn(symbol)) {
      const type = checker.getDeclaredTypeOfSymbol(symbol);
      this.readSignatures(`type ${symbol.name}`, type.getCallSignatures());
      if (symbol.flags & ts.SymbolFlags.Interface) this.readMethods(`${symbol.name}#`, type);
    }
    if ((symbol.flags & ts.SymbolFlags.Value) === 0) return;
    const type = checker.getTypeOfSymbol(symbol);
    this.readSignatures(symbol.name, type.getCallSignatures());
    if ((symbol.flags & ts.SymbolFlags.Class) === 0) {
      if (isOwn(symbol)) this.readMethods(`${symbol.name}.`, type);
      return;
    }
    this.readSignatures(`new ${symbol.name}`, type.getConstructSignatures());
    this.readMethods(`${symbol.name}.`, type);
    this.readMethods(`${symbol.name}#`, checker.getDeclaredTypeOfSymbol(symbol));
  }

  private readMethods(prefix: string, type: ts.Type): void {
    for (const method of type.getProperties()) {
      const declaration = method.valueDeclaration;
      if (declaration === undefined || !isOwn(method) || /[#@]/.test(method.name)) continue;
      if (ts.getCombinedModifierFlags(declaration) & HIDDEN) continue;
      this.readSignatures(prefix + method.name, this.checker.getTypeOfSymbol(method).getCallSignatures());
    }
  }

  private readSignatures(name: string, signatures: readonly ts.Signature[]): void {
    for (const signature of signatures) {
      const { declaration } = signature;
      if (
        INTERNAL.has(name) ||
        LANGCHAIN.test(name) ||
        declaration === undefined ||
        this.types.has(declaration as ts.SignatureDeclaration)
      )
        continue;
      const types = signature.parameters.flatMap((each) => this.optionsType(each));
      if (types.length > 0) this.types.set(declaration as ts.SignatureDeclaration, { name, types });
    }
  }

  /** The type of a parameter that is options: its name or its type's name says so, or it has neither. */
  private optionsType(parameter: ts.Symbol): ts.Type[] {
    const { checker } = this;
    const declaration = parameter.valueDeclaration as ts.ParameterDeclaration;
    const given = checker.getNonNullableType(checker.getTypeOfSymbol(parameter));
    const type = checker.getBaseConstraintOfType(given) ?? given;
    const typeName = declaration.type?.getText() ?? '';
    const isOptions =
      parameter.name === 'options' ||
      /\b\w+(Options|Parts|Settings)\b/.test(typeName) ||
      (ts.isObjectBindingPattern(declaration.name) && declaration.type?.kind === ts.SyntaxKind.TypeLiteral);
    if (!isOptions) return [];
    return type.getProperties().some(isOwn) && type.getCallSignatures().length === 0 ? [type] : [];
  }

  private optionsOf(types: readonly ts.Type[]): PublicOption[] {
    const names = new Set(types.flatMap((type) => type.getProperties().map(({ name }) => name)));
    return [...names].map((name) => {
      const all = types.map((type) => type.getProperty(name));
      return this.option(
        name,
        all.filter((each) => each !== undefined),
        all.includes(undefined),
      );
    });
  }

  private option(name: string, symbols: readonly ts.Symbol[], isAbsent: boolean): PublicOption {
    const { checker } = this;
    const types = symbols.map((symbol) => checker.getTypeOfSymbol(symbol));
    const members = types.flatMap((type) => (type.isUnion() ? type.types : [type]));
    const isForeign = members.some((member) => [member.symbol, member.getProperties()[0]].some(isOfDependency));
    const accepts = (kind: WrongValue, wrong: ts.Type) =>
      (isForeign && kind === 'object') || types.some((type) => checker.isTypeAssignableTo(wrong, type));
    const refuses = [...this.wrongTypes].filter(([kind, type]) => !accepts(kind, type)).map(([kind]) => kind);
    const choices = members.flatMap((member) => (member.isStringLiteral() ? [member.value] : []));
    const isRequired = !isAbsent && symbols.every(({ flags }) => (flags & ts.SymbolFlags.Optional) === 0);
    const objects = members.flatMap((member) => this.plainObject(member));
    return {
      name,
      isRequired,
      takesUndefined: isRequired || types.some((type) => checker.isTypeAssignableTo(checker.getUndefinedType(), type)),
      choices: refuses.includes('text') ? [...new Set(choices)] : [],
      refuses,
      fields: objects.flatMap(({ type }) => this.optionsOf([type])),
      isList: objects.some(({ isList }) => isList),
    };
  }

  /** The type of an object of data that this package declares, alone or in a list. */
  private plainObject(type: ts.Type): { type: ts.Type; isList: boolean }[] {
    const { checker } = this;
    const isList = checker.isArrayType(type);
    const own = isList ? (checker.getTypeArguments(type as ts.TypeReference)[0] as ts.Type) : type;
    const isPlain = ((own.symbol?.flags ?? 0) & (ts.SymbolFlags.Interface | ts.SymbolFlags.TypeLiteral)) !== 0;
    const properties = own.getProperties();
    if (!isPlain || !isOwn(own.symbol) || MADE.has(own.symbol.name) || own.getCallSignatures().length > 0) return [];
    const hasMethods = properties.some((each) => checker.getTypeOfSymbol(each).getCallSignatures().length > 0);
    return hasMethods || properties.length === 0 ? [] : [{ type: own, isList }];
  }
}

/** Objects that the package makes and callers only pass on. */
const MADE = new Set(['CachedText', 'Memory', 'Randomness', 'BulkTask']);

/** Methods that the package itself calls, and no user. */
const INTERNAL = new Set([
  'Mpi#reduce',
  'PackedWeight.readBlocks',
  'RotaryEmbedding#forward',
  'Rotation#forward',
  'World#reduce',
]);
/** Methods that LangChain calls with options of its own. */
const LANGCHAIN = /^ChatSimdformer#/;

const HIDDEN = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;

/** True for a symbol that an optional dependency declares, whose objects are passed on as they are. */
function isOfDependency(symbol: ts.Symbol | undefined): boolean {
  const [declaration] = symbol?.declarations ?? [];
  return /node_modules\/(?!typescript\/|@types\/)/.test(declaration?.getSourceFile().fileName ?? '');
}

/** True for a symbol that src/ declares. */
function isOwn(symbol: ts.Symbol): boolean {
  const [declaration] = symbol.declarations ?? [];
  return declaration?.getSourceFile().fileName.startsWith(join(root, 'src')) ?? false;
}
