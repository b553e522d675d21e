import express from 'express';
import { embed } from './embed.js';

const app = express();
app.get('/embed', async ({ query }, response) => {
  response.json(await embed(String(query.text ?? '')));
});
const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
