import { compute } from './program.mjs';

const results = [];
for (const options of JSON.parse(process.argv[2])) results.push(await compute(options));
console.log(JSON.stringify(results));
