/**
 * Characters that Python writes as escapes: controls, separators other than a space, and code points without a meaning.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

/** `repr(text)` of Python: in single quotes, or in double ones if the text has only single ones. */
export function quotedAsPython(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = Array.from(text, (character) => {
    if (character === quote) return `\\${quote}`;
    const named = NAMED[character];
    if (named !== undefined) return named;
    if (!UNPRINTABLE.test(character)) return character;
    const code = character.codePointAt(0) as number;
    const [letter, digits] = code < 256 ? ['x', 2] : code < 65536 ? ['u', 4] : ['U', 8];
    return `\\${letter}${code.toString(16).padStart(digits, '0')}`;
  });
  return quote + escaped.join('') + quote;
}

/** A number as Python's `repr` writes a float: `0.5`, `3.0`, `1e-05`. */
export function floatAsPython(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e16) return value.toFixed(1);
  return (isSmallFraction(value) ? value.toExponential() : String(value)).replace(/e([+-])(\d)$/, 'e$10$2');
}

/** True for fractions that Python writes with an exponent of two digits, and JavaScript does not. */
export const isSmallFraction = (value: number) => value !== 0 && Math.abs(value) < 1e-4;
