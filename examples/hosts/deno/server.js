import { embed } from './embed.js';

Deno.serve({ hostname: '127.0.0.1', port: Number(Deno.env.get('PORT') ?? 3000) }, async ({ url }) =>
  Response.json(await embed(new URL(url).searchParams.get('text') ?? '')),
);
