import { createServer } from 'node:http';
import { render } from './dist/entry-server.js';

const server = createServer(async ({ url }, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(await render(new URL(url, 'http://localhost')));
});
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
