import { embed } from './embed.js';

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT ?? 3000),
  fetch: async ({ url }) => Response.json(await embed(new URL(url).searchParams.get('text') ?? '')),
});
console.log(server.url.origin);
