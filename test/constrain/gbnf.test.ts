// Grammars in llama.cpp's form. llama.cpp (by node-llama-cpp 3.21, `LlamaGrammar._testText`) accepts and refuses the same
// texts.
import { expect, it } from 'vitest';
import { constrain } from '../../src/constrain/index.js';
import { byteTokenizer } from './byte-tokenizer.js';

const tokenizer = await byteTokenizer();
const END = 0;

/** True if the text may be written token by token, and may end there. */
async function accepts(grammar: string, text: string): Promise<boolean> {
  const { logitsProcessors } = await constrain(tokenizer, { grammar }, { stopTokens: [END] });
  const tokens = [5];
  const mayFollow = (token: number) => {
    const scores = new Float32Array(tokenizer.vocabSize);
    for (const processor of logitsProcessors) processor(scores, tokens, { begin: 1, maxLength: 1000 });
    return scores[token] === 0;
  };
  for (const token of tokenizer.encode(text, { addSpecial: false })) {
    if (!mayFollow(token)) return false;
    tokens.push(token);
  }
  return mayFollow(END);
}

const CALCULATION = `
  # A calculation ends with a line break.
  root  ::= (expr "=" ws term "\\n")+
  expr  ::= term ([-+*/] term)*
  term  ::= ident | num | "(" ws expr ")" ws
  ident ::= [a-z] [a-z0-9_]* ws
  num   ::= [0-9]+ ws
  ws    ::= [ \\t\\n]*
`;
const MOVES = `
root   ::= "1. " move " " move "\\n" ([1-9] [0-9]? ". " move " " move "\\n")+
move   ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
`;
const CASES: readonly [grammar: string, accepted: readonly string[], refused: readonly string[]][] = [
  [CALCULATION, ['1+2=x\n', '(a_1 *3)-4= 5\n7=7\n'], ['1+=2\n', '1=2', '', '(1=2\n']],
  [MOVES, ['1. e4 e5\n2. Nf3 Nc6\n', '1. d4 exd5\n10. O-O O-O-O#\n'], ['1. e4 e5\n', '1. e9 e5\n2. e4 e5\n']],
  [
    'root ::= item+\nitem ::= "- " [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ "\\n"',
    ['- a\n- é ok\n'],
    ['- \n', 'a\n', '- a\u2028\n'],
  ],
  ['root ::= [\\u3041-\\u3096\\u30A1-\\u30FA] "\\U0001F600"?', ['ぁ', 'ン😀'], ['a', '😀', 'ぁぁ']],
  ['root ::= . "\\x41" . ', ['éAz', '\nA\n'], ['A', 'ABC']],
  [
    'root ::= 2nd-rule{ 2 , 3 } | x\n2nd-rule ::= "ab"\nx::="]"|[\\]\\-\\\\"]',
    ['abab', 'ababab', ']', '-', '\\', '"'],
    ['ab', 'x'],
  ],
  ['root ::= "a" |\n  ("b"\n  "c") | ""\n', ['a', 'bc', ''], ['b', 'c']],
  ['root ::= "two\nlines" [\n]', ['two\nlines\n'], ['two lines\n']],
  ['root ::= "a"{0} "b"{1,} ("c" | "d")* "e"?', ['b', 'bbcdcde'], ['ab', 'be e', 'c']],
];

it.each(CASES)('grammar %#', async (grammar, accepted, refused) => {
  for (const text of accepted) expect([text, await accepts(grammar, text)]).toEqual([text, true]);
  for (const text of refused) expect([text, await accepts(grammar, text)]).toEqual([text, false]);
});

it('refuses grammars that it does not support', async () => {
  const refusal = (grammar: string) => constrain(tokenizer, { grammar }).then(() => '', String);
  expect(await refusal('root ::= <think> "a"')).toContain('line 1: tokens such as <think> are not supported');
  expect(await refusal('root ::= "a"\n  !<[1000]>')).toContain('line 2: tokens such as !<[1000]>');
  expect(await refusal('root ::= [z-a]')).toContain('a range of [z-a] ends before it begins');
  expect(await refusal('root ::= "\\U00110000"')).toContain('there is no character 110000');
  expect(await refusal(`root ::= "a"${'*'.repeat(30_000)}`)).toContain('repetitions follow each other');
  expect(await refusal('root ::= other')).toContain("no rule 'other'");
  expect(await refusal('root ::= "a"{100000000}')).toMatch(/states|large/);
});
