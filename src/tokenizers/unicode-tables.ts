// Sets of characters as in Rust's `tokenizers`. Its parts have tables of different Unicode versions, and V8's tables
// are newer than most. Later characters are excluded; their ranges include unassigned ones, to exclude future
// additions, too.

/** Characters new in Unicode 17, unknown to Oniguruma and Rust's `regex`. */
export const LATE =
  '\\u088f\\u0c5c\\u0cdc\\u1acf-\\u1aeb\\u20c1\\u2b96\\ua7ce-\\ua7cf\\ua7d2\\ua7d4\\ua7f1\\ufbc3-\\ufbd2\\ufd90-\\ufd91\\ufdc8-\\ufdce\\u{10940}-\\u{10959}\\u{10ec5}-\\u{10efb}\\u{11b60}-\\u{11b67}\\u{11db0}-\\u{11de9}\\u{16ea0}-\\u{16ed3}\\u{16ff2}-\\u{16ff6}\\u{187f8}-\\u{187ff}\\u{18d09}-\\u{18df2}\\u{1ccfa}-\\u{1ccfc}\\u{1ceba}-\\u{1cef0}\\u{1e6c0}-\\u{1e6ff}\\u{1f6d8}\\u{1f777}-\\u{1f77a}\\u{1f8d0}-\\u{1f8d8}\\u{1fa54}-\\u{1fa57}\\u{1fa8a}-\\u{1fa8e}\\u{1fac8}-\\u{1facd}\\u{1faea}-\\u{1faef}\\u{1fbfa}\\u{2b73a}-\\u{2b73f}\\u{2cea2}-\\u{2cead}\\u{323b0}-\\u{33479}';

/** A regular expression for a set. Nested sets need flag `v`. */
function set(characters: string, flags = 'gv'): RegExp {
  return new RegExp(characters, flags);
}

const LETTERS = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';

/** Set of `\w` in Rust's `regex`. */
export const WORD_IN_RUST = `[[${LETTERS}\\u200c\\u200d]--[${LATE}]]`;
/** Set of `\w` in Oniguruma inside a set. Outside, `FRACTIONS` belong to it, too. */
export const WORD_IN_ONIGURUMA = `[[${LETTERS}]--[${LATE}]]`;
export const FRACTIONS = '\\u00b2\\u00b3\\u00b9\\u00bc-\\u00be';

/** Punctuation of Unicode 8, and ASCII symbols. */
export const PUNCTUATION = set(
  '[[\\p{P}!-\\/:-@\\[-`\\{-~\\u166d\\u{111c9}]--[\\u061d\\u09fd-\\u0a76\\u0c77-\\u0c84\\u1b4e-\\u1b4f\\u1b7d-\\u1b7f\\u2e43-\\u2e5d\\u{10d6e}-\\u{10f89}\\u{113d4}-\\u{1145d}\\u{11660}-\\u{116b9}\\u{1183b}-\\u{11fff}\\u{12ff1}-\\u{12ff2}\\u{16d6d}-\\u{16fe2}\\u{1e5ff}-\\u{1e95f}]]',
);

/** Control characters that BERT removes. */
export const CONTROL = set('[[\\p{Cc}\\p{Cf}\\p{Co}\\ufffd]--[\\t\\n\\r\\u0890-\\u08e2\\u{110cd}-\\u{1343f}]]');

/** Marks that BERT removes, of Unicode 8. */
export const BERT_MARK = set(
  '[[\\p{Mn}\\u1734\\u{1171e}]--[\\u07fd\\u0897-\\u08e1\\u09fe\\u0afa-\\u0aff\\u0b55\\u0c04-\\u0c3c\\u0d00\\u0d3b-\\u0d3c\\u0d81\\u0eba\\u0ece\\u180f-\\u1886\\u1abf-\\u1aeb\\u1df6-\\u1dfb\\ua82c\\ua8c5\\ua8ff\\ua9bd\\u{10d24}-\\u{10f85}\\u{11070}-\\u{11074}\\u{110c2}\\u{111c9}\\u{111cf}\\u{1123e}-\\u{11241}\\u{1133b}\\u{113bb}-\\u{1145e}\\u{1182f}-\\u{1612f}\\u{16f4f}\\u{16fe4}\\u{1cf00}-\\u{1cf46}\\u{1e000}-\\u{1e6f5}\\u{1e944}-\\u{1e94a}]]',
);

/** Marks that StripAccents removes, of Unicode 9. */
export const ACCENT = set(
  '[[\\p{M}\\u1cf2\\u1cf3]--[\\u07fd\\u0897-\\u08d3\\u09fe\\u0afa-\\u0aff\\u0b55\\u0c04-\\u0c3c\\u0cf3-\\u0d00\\u0d3b-\\u0d3c\\u0d81\\u0eba\\u0ece\\u1715\\u180f\\u1abf-\\u1aeb\\u1cf7\\u1df6-\\u1dfa\\ua82c\\ua8ff\\u{10d24}-\\u{10f85}\\u{11070}-\\u{11074}\\u{110c2}\\u{11145}-\\u{11146}\\u{111c9}\\u{111ce}-\\u{111cf}\\u{11241}\\u{1133b}\\u{113b8}-\\u{113e2}\\u{1145e}\\u{1182c}-\\u{11b67}\\u{11d31}-\\u{1612f}\\u{16f4f}\\u{16f7f}-\\u{16f87}\\u{16fe4}-\\u{16ff1}\\u{1cf00}-\\u{1cf46}\\u{1e08f}-\\u{1e6f5}]]',
);

/** Characters that gained a combining class or a decomposition after Unicode 9. The forms of version 9 ignore them. */
export const LATE_IN_FORMS = set(
  '[\\u07fd\\u0897-\\u08d3\\u09fe\\u0c3c\\u0d3b-\\u0d3c\\u0eba\\u1715\\u1abf-\\u1aeb\\u1df6-\\u1dfa\\u32ff\\ua7f1-\\ua7f4\\ua82c\\uab69\\u{105c9}-\\u{107ba}\\u{10d24}-\\u{10f85}\\u{11070}\\u{1133b}\\u{11383}-\\u{113d0}\\u{1145e}\\u{11839}-\\u{11a99}\\u{11d42}-\\u{1612f}\\u{16d68}-\\u{16ff1}\\u{1ccd6}-\\u{1ccf9}\\u{1e030}-\\u{1e6f5}\\u{1f16c}\\u{1fbf0}-\\u{1fbf9}]',
  'v',
);

/** White space other than the space itself. */
export const OTHER_SPACE = set('[\\p{White_Space}--[\\x20]]');

/** Control characters that SentencePiece's NMT rules remove. */
export const NMT_CONTROL = set('[\\x01-\\x08\\v\\x0e-\\x1f\\x7f\\x8f\\x9f]');
