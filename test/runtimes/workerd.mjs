import { compute } from './program.mjs';

export default {
  async fetch(request) {
    const results = [];
    for (const options of await request.json()) {
      results.push(await compute(options).catch((error) => `${error.name}: ${error.message}`));
    }
    return Response.json(results);
  },
};
