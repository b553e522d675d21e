// Names of columns, in rows and in published data sets.

/** Names of texts and pairs in GLUE and other data sets. The first one that a row has is used. */
const TEXTS: readonly (readonly [text: string, pair?: string])[] = [
  ['sentence1', 'sentence2'],
  ['text1', 'text2'],
  ['premise', 'hypothesis'],
  ['question1', 'question2'],
  ['question', 'sentence'],
  ['#1 String', '#2 String'],
  ['sentence_A', 'sentence_B'],
  ['sentence'],
];

const OTHERS: Readonly<Record<string, string>> = {
  is_duplicate: 'label',
  Quality: 'label',
  relatedness_score: 'score',
  similarity_score: 'score',
  ner_tags: 'labels',
  words: 'tokens',
};

/** Names of columns in rows. */
const OWN =
  'text,pair,label,labels,score,tokens,source,target,anchor,positive,negative,prompt,chosen,rejected,messages'.split(
    ',',
  );

const KNOWN = new Set([...OWN, ...TEXTS.flat(), ...Object.keys(OTHERS)]);

/** Names of columns in a file, by their names in rows: `{ text: 'review', label: 'sentiment' }`. */
export type ColumnNames = Readonly<Record<string, string>>;

/** True if the first line of a file has names of columns. */
export function isHeader(cells: readonly string[], columnNames: ColumnNames): boolean {
  const wanted = Object.values(columnNames);
  return cells.some((cell) => KNOWN.has(cell.trim()) || wanted.includes(cell.trim()));
}

const isNumber = (cell: string | undefined) =>
  cell !== undefined && cell.trim() !== '' && Number.isFinite(Number(cell));

/** Guesses the names of the columns of a file without names, from its first line. */
export function namesOf(cells: readonly string[]): readonly string[] {
  const [first, second, third] = cells;
  if (cells.length < 3) return isNumber(first) && !isNumber(second) ? ['label', 'text'] : ['text', 'label'];
  if ((first === '' || isNumber(first)) && !isNumber(third)) return ['score', 'text', 'pair'];
  return ['text', 'pair', isNumber(third) ? 'score' : 'label'];
}

/** Returns a row with the standard names of columns. */
export function withStandardNames(
  row: Readonly<Record<string, unknown>>,
  columnNames: ColumnNames,
): Record<string, unknown> {
  const names = new Map<string, string>(Object.entries(columnNames).map(([name, column]) => [column, name]));
  const taken = (name: string) => name in row || [...names.values()].includes(name);
  const texts = TEXTS.find((columns) => columns.every((column) => column !== undefined && column in row));
  for (const [i, column] of (texts ?? []).entries()) {
    const name = i === 0 ? 'text' : 'pair';
    if (!taken(name)) names.set(column as string, name);
  }
  for (const [column, name] of Object.entries(OTHERS)) if (column in row && !taken(name)) names.set(column, name);
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [names.get(column) ?? column, withoutBigints(value)]),
  );
}

/** Converts 64-bit integers, which Parquet has, to numbers. */
function withoutBigints(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof BigInt64Array) return Array.from(value, Number);
  return Array.isArray(value) && typeof value[0] === 'bigint' ? value.map(Number) : value;
}
