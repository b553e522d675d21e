import Fastify from 'fastify';
import { embed } from './embed.js';

const app = Fastify();
const querystring = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };
app.get('/embed', { schema: { querystring } }, ({ query }) => embed(query.text));
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }));
