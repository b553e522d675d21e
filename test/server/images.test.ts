// Images in /v1/chat/completions: data URLs, remote ones, and refusals.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CausalModel } from '../../src/models/causal-model.js';
import { type RunningServer, serve } from '../../src/server/index.js';
import { Chat } from '../../src/tasks/chat/index.js';
import { imageTextModel, picture } from '../tasks/image-text-model.js';

describe('images of messages', () => {
  let model: CausalModel;
  let server: RunningServer;
  let files: Server;
  let png: Buffer;
  let host = '';
  const raw = picture(37, 29, 3, 1);

  beforeAll(async () => {
    png = await sharp(raw.data, { raw: { width: raw.width, height: raw.height, channels: 3 } })
      .png()
      .toBuffer();
    files = createServer((request, response) => {
      if (request.url === '/away') response.writeHead(302, { location: 'http://127.0.0.1:1/x' }).end();
      else response.end(png);
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(files.address() as AddressInfo).port}`;
    model = await imageTextModel('gemma3_vl');
    server = await serve({ models: { eyes: model as never }, port: 0, log: 'none', imageHosts: [host] });
  });
  afterAll(async () => {
    await server?.close();
    files?.close();
    model?.dispose();
  });

  const ask = async (url: string, text = 'w7') => {
    const content = [
      { type: 'image_url', image_url: { url } },
      { type: 'text', text },
    ];
    const body = { model: 'eyes', messages: [{ role: 'user', content }], max_tokens: 6, temperature: 0 };
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const json = (await response.json()) as {
      choices?: { message: { content: string } }[];
      usage?: { prompt_tokens_details: { cached_tokens: number } };
      error?: { message: string; code: string };
    };
    return { status: response.status, ...json };
  };

  it('answers as a conversation does, of data URLs and of allowed hosts, and shares what was read', async () => {
    const chat = new Chat(model);
    let wanted = '';
    const content = [
      { type: 'image', image: raw },
      { type: 'text', text: 'w7' },
    ];
    const options = { maxNewTokens: 6, doSample: false };
    for await (const piece of chat.send({ role: 'user', content }, options)) wanted += piece;
    chat.dispose();
    const inline = await ask(`data:image/png;base64,${png.toString('base64')}`);
    expect(inline.choices?.[0]?.message.content.trim()).toBe(wanted);
    const remote = await ask(`http://${host}/photo.png`);
    expect(remote.choices?.[0]?.message.content.trim()).toBe(wanted);
    expect(remote.usage?.prompt_tokens_details.cached_tokens).toBeGreaterThan(4);
  });

  it('refuses other hosts, redirects, other schemes and what is no image', async () => {
    const refusals: readonly (readonly [url: string, message: RegExp])[] = [
      ['http://images.example.com/a.png', /not fetched.*imageHosts/],
      [`http://${host}/away`, /cannot be fetched/],
      ['file:///etc/passwd', /no address/],
      ['data:image/png;base64,====x!', /damaged/],
      [`data:image/png;base64,${Buffer.from('no image').toString('base64')}`, /no image that can be read/],
    ];
    for (const [url, message] of refusals) {
      const { status, error } = await ask(url);
      expect(status, url).toBe(400);
      expect(error?.message).toMatch(message);
    }
  });

  it('refuses a header of 60,000 by 60,000 pixels', async () => {
    const head = Buffer.from(png);
    head.writeUInt32BE(60_000, 16);
    head.writeUInt32BE(60_000, 20);
    const { status, error } = await ask(`data:image/png;base64,${head.toString('base64')}`);
    expect(status).toBe(400);
    expect(error?.message).toMatch(/An image cannot be read/);
  });
});
