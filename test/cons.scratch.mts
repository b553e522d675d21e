import { readFileSync } from 'node:fs';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { constrain } from '/work/wt/scale/src/constrain/index.ts';
import { loadTokenizer } from '/work/wt/scale/src/tokenizers/index.ts';
const dir = process.argv[2]; const N = Number(process.argv[3] ?? 100); const MAX = Number(process.argv[4] ?? 120);
import { createDevice, loadModel } from '/work/wt/scale/src/index.ts';
let tok: any;
if (dir.endsWith('.gguf')) { const m = await loadModel(await createDevice({ threads: 1 }), dir); tok = m.tokenizer; } else tok = await loadTokenizer(readFileSync(dir + '/tokenizer.json', 'utf8'));
console.log('vocab', tok.vocabSize, 'eos', tok.eosId);
let s = Number(process.argv[5] ?? 1); const rnd = () => { s = (Math.imul(s, 1103515245) + 12345) >>> 0; return (s >>> 8) / 2 ** 24; };
const below = (n: number) => Math.floor(rnd() * n);
const pick = <T,>(a: T[]) => a[below(a.length)]!;
function schema(depth: number): any {
  const kinds = ['string', 'integer', 'number', 'boolean', 'null', 'enum', 'const', 'pattern', 'format', 'length', 'ibounds', 'nbounds', 'any', ...(depth > 0 ? ['object', 'array', 'anyOf', 'tuple', 'map', 'object', 'types'] : [])];
  switch (pick(kinds)) {
    case 'enum': return { enum: ['a"b', 3, null, true, { x: [1] }, 'é'] };
    case 'const': return { const: pick<any>(['x', 5, false]) };
    case 'pattern': return { type: 'string', pattern: pick(['^[a-z]{2,5}$', 'ab+c', '^(foo|bar)-\\d{3}', '[^"]+\\\\$', '^\\w+\\s\\w+$', '^\\u{1F600}+$']) };
    case 'format': return { type: 'string', format: pick(['date', 'time', 'date-time', 'email', 'uri', 'uuid', 'ipv4', 'ipv6', 'hostname', 'duration']) };
    case 'length': { const a = below(5); return { type: 'string', minLength: a, maxLength: a + below(8) }; }
    case 'ibounds': { const a = below(2000) - 1000; return { type: 'integer', minimum: a, maximum: a + below(500) }; }
    case 'nbounds': { const a = rnd() * 200 - 100; return { type: 'number', [pick(['minimum', 'exclusiveMinimum'])]: a, [pick(['maximum', 'exclusiveMaximum'])]: a + rnd() * 50 + 0.01 }; }
    case 'any': return pick<any>([true, {}]);
    case 'object': { const names = ['name', 'age', 'with space', 'q"', 'é', 'z'].slice(0, 1 + below(6)); return { type: 'object', properties: Object.fromEntries(names.map((n) => [n, schema(depth - 1)])), required: names.filter(() => rnd() < 0.5), additionalProperties: pick([true, false]) }; }
    case 'array': { const a = below(3); return { type: 'array', items: schema(depth - 1), minItems: a, maxItems: a + below(4) }; }
    case 'tuple': return { type: 'array', prefixItems: [schema(depth - 1), schema(depth - 1)], items: pick<any>([false, schema(depth - 1)]), minItems: 1 };
    case 'map': return { type: 'object', additionalProperties: schema(depth - 1) };
    case 'anyOf': return { anyOf: [schema(depth - 1), schema(depth - 1)] };
    case 'types': return { type: ['string', 'null', 'integer'] };
    default: return { type: pick(['string', 'integer', 'number', 'boolean', 'null']) };
  }
}
const ajv = addFormats.default(new Ajv.default({ strict: false }));
let bad = 0, small = 0; let ms = 0, steps = 0;
for (let i = 0; i < N; i++) {
  let sch = schema(3);
  if (i % 7 === 0) sch = { $defs: { node: { type: 'object', properties: { value: sch, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } }, required: ['next'] } }, $ref: '#/$defs/node' };
  let opt;
  try { opt = await constrain(tok, { type: 'json_schema', schema: sch }); } catch (e) { console.log('REFUSED', (e as Error).message, JSON.stringify(sch).slice(0, 200)); bad++; continue; }
  const out: number[] = [5]; const begin = 1;
  try {
    while (out.length < begin + MAX) {
      const scores = Float32Array.from({ length: tok.vocabSize }, () => rnd() * 8);
      const t = performance.now(); opt.logitsProcessors[0]!(scores, out, { begin, maxLength: begin + MAX }); ms += performance.now() - t; steps++;
      let best = 0; for (let k = 1; k < scores.length; k++) if (scores[k]! > scores[best]!) best = k;
      if (best === tok.eosId) break; out.push(best);
      if (opt.stop!(out.slice(begin))) break;
    }
  } catch (e) { if (/maxNewTokens/.test((e as Error).message)) { small++; if (small < 12) console.log((e as Error).message, tok.decode(out.slice(1)).slice(-60), JSON.stringify(sch).slice(0, 200)); continue; } throw e; }
  const bytes = out.slice(begin); const text = tok.decode([...bytes]);
  let ok = false; let why = '';
  try { ok = ajv.validate(sch, JSON.parse(text)) as boolean; why = ajv.errorsText(); } catch (e) { why = (e as Error).message; }
  if (!ok) { bad++; if (bad < 10) console.log('BAD', why, JSON.stringify(text).slice(0, 300), JSON.stringify(sch).slice(0, 300), out.length); }
}
console.log({ N, bad, small, msPerStep: ms / steps });
