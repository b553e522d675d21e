// The languages of Whisper: their codes and names.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';

const NAMES =
  'en:english, zh:chinese, de:german, es:spanish, ru:russian, ko:korean, fr:french, ja:japanese, pt:portuguese, ' +
  'tr:turkish, pl:polish, ca:catalan, nl:dutch, ar:arabic, sv:swedish, it:italian, id:indonesian, hi:hindi, ' +
  'fi:finnish, vi:vietnamese, he:hebrew, uk:ukrainian, el:greek, ms:malay, cs:czech, ro:romanian, da:danish, ' +
  'hu:hungarian, ta:tamil, no:norwegian, th:thai, ur:urdu, hr:croatian, bg:bulgarian, lt:lithuanian, la:latin, ' +
  'mi:maori, ml:malayalam, cy:welsh, sk:slovak, te:telugu, fa:persian, lv:latvian, bn:bengali, sr:serbian, ' +
  'az:azerbaijani, sl:slovenian, kn:kannada, et:estonian, mk:macedonian, br:breton, eu:basque, is:icelandic, ' +
  'hy:armenian, ne:nepali, mn:mongolian, bs:bosnian, kk:kazakh, sq:albanian, sw:swahili, gl:galician, mr:marathi, ' +
  'pa:punjabi, si:sinhala, km:khmer, sn:shona, yo:yoruba, so:somali, af:afrikaans, oc:occitan, ka:georgian, ' +
  'be:belarusian, tg:tajik, sd:sindhi, gu:gujarati, am:amharic, yi:yiddish, lo:lao, uz:uzbek, fo:faroese, ' +
  'ht:haitian creole, ps:pashto, tk:turkmen, nn:nynorsk, mt:maltese, sa:sanskrit, lb:luxembourgish, my:myanmar, ' +
  'bo:tibetan, tl:tagalog, mg:malagasy, as:assamese, tt:tatar, haw:hawaiian, ln:lingala, ha:hausa, ba:bashkir, ' +
  'jw:javanese, su:sundanese, yue:cantonese';

/** Further names of some languages. */
const OTHER_NAMES =
  'burmese:my, valencian:ca, flemish:nl, haitian:ht, letzeburgesch:lb, pushto:ps, panjabi:pa, moldavian:ro, ' +
  'moldovan:ro, sinhalese:si, castilian:es, mandarin:zh';

const pairsOf = (list: string) => list.split(', ').map((pair) => pair.split(':') as [string, string]);

/** The English name of each language by its code, such as `german` for `de`. */
export const languageNames: ReadonlyMap<string, string> = new Map(pairsOf(NAMES));

const codes: ReadonlyMap<string, string> = new Map([
  ...[...languageNames].map(([code, name]) => [name, code] as const),
  ...pairsOf(OTHER_NAMES),
]);

/** Languages that are written without spaces between words. */
const SPACELESS: ReadonlySet<string> = new Set(['zh', 'ja', 'th', 'lo', 'my', 'yue']);

/** True if words of the language, given by its code, have spaces between them. Default for unknown languages: true. */
export function hasSpaces(code: string | null): boolean {
  return code === null || !SPACELESS.has(code);
}

/**
 * Returns the code of a language. `language` is its code, its English name, or Whisper's token for it. Throws
 * ArgumentError.
 */
export function languageCode(task: string, language: unknown): string {
  const name = typeof language === 'string' ? language.toLowerCase().replace(/^<\|(.*)\|>$/, '$1') : '';
  const code = codes.get(name) ?? (languageNames.has(name) ? name : undefined);
  if (code !== undefined) return code;
  const expected = `a code or an English name such as 'de' or 'german'; known are ${[...languageNames.keys()].join(', ')}`;
  throw new ArgumentError(`${task}: language is ${describeValue(language)}, expected ${expected}`);
}
