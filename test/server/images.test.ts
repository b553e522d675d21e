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

  it('answers like a conversation, for data URLs and allowed hosts, and shares prefixes', async () => {
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

  /** The answer of an endpoint to a body. */
  const post = async (path: string, body: object) => {
    const response = await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, json: (await response.json()) as Record<string, never> };
  };

  it('reads images of Ollama, and those in results of tools', async () => {
    const data = png.toString('base64');
    const wanted = (await ask(`data:image/png;base64,${data}`)).choices![0]!.message.content;
    const options = { num_predict: 6, temperature: 0 };
    const chat = await fetch(`${server.url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'eyes',
        messages: [{ role: 'user', content: 'w7', images: [data] }],
        options,
        stream: false,
      }),
    });
    expect(((await chat.json()) as { message: { content: string } }).message.content).toBe(wanted);
    const generated = await fetch(`${server.url}/api/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'eyes', prompt: 'w7', images: [data], options, stream: false }),
    });
    expect(((await generated.json()) as { response: string }).response).toBe(wanted);
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } };
    const tokens = async (result: object[], text: object[]) => {
      const messages = [
        { role: 'user', content: 'w7' },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'look', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: result }, ...text] },
      ];
      const response = await fetch(`${server.url}/v1/messages/count_tokens`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'eyes', messages }),
      });
      return ((await response.json()) as { input_tokens?: number }).input_tokens;
    };
    const text = { type: 'text', text: 'w8' };
    expect(await tokens([image], [text])).toBe(await tokens([], [image, text]));
    expect(await tokens([image], [text])).toBeGreaterThan((await tokens([], [text])) as number);
  });

  it("gives the same answers in Anthropic's and the Responses API", async () => {
    const data = png.toString('base64');
    const wanted = (await ask(`data:image/png;base64,${data}`)).choices?.[0]?.message.content;
    const settings = { model: 'eyes', temperature: 0 };
    const sources = [
      { type: 'base64', media_type: 'image/png', data },
      { type: 'url', url: `http://${host}/photo.png` },
    ];
    for (const source of sources) {
      const content = [
        { type: 'image', source },
        { type: 'text', text: 'w7' },
      ];
      const body = { ...settings, max_tokens: 6, messages: [{ role: 'user', content }] };
      const { status, json } = await post('/v1/messages', body);
      expect([status, (json.content as unknown as { text: string }[])?.[0]?.text]).toEqual([200, wanted]);
      const refused = await post('/v1/messages', { ...body, messages: [{ role: 'assistant', content }] });
      expect([refused.status, JSON.stringify(refused.json)]).toEqual([
        400,
        expect.stringContaining("expected images of 'user'"),
      ]);
    }
    for (const image_url of [`data:image/png;base64,${data}`, `http://${host}/photo.png`]) {
      const content = [
        { type: 'input_image', image_url, detail: 'auto' },
        { type: 'input_text', text: 'w7' },
      ];
      const body = { ...settings, max_output_tokens: 16, input: [{ role: 'user', content }] };
      const { status, json } = await post('/v1/responses', body);
      const [item] = json.output as unknown as { content: { text: string }[] }[];
      expect([status, item?.content[0]?.text.startsWith(wanted as string)]).toEqual([200, true]);
      const next = { ...settings, max_output_tokens: 16, input: 'w8', previous_response_id: json.id };
      expect((await post('/v1/responses', next)).status).toBe(200); // the image is still part of the conversation
      const refused = await post('/v1/responses', { ...body, input: [{ role: 'assistant', content }] });
      expect([refused.status, JSON.stringify(refused.json)]).toEqual([
        400,
        expect.stringContaining("expected images of 'user'"),
      ]);
    }
  });

  it('reads images in results of tools of chats and of the Responses API', async () => {
    const url = `data:image/png;base64,${png.toString('base64')}`;
    const settings = { model: 'eyes', temperature: 0 };
    const call = { id: 'a', type: 'function', function: { name: 'look', arguments: '{}' } };
    const chat = async (content: unknown) => {
      const messages = [
        { role: 'user', content: 'w7' },
        { role: 'assistant', tool_calls: [call] },
        { role: 'tool', tool_call_id: 'a', content },
      ];
      const { status, json } = await post('/v1/chat/completions', { ...settings, max_tokens: 16, messages });
      expect(status).toBe(200);
      return (json.usage as unknown as { prompt_tokens: number }).prompt_tokens;
    };
    const respond = async (output: unknown) => {
      const input = [
        { role: 'user', content: 'w7' },
        { type: 'function_call', call_id: 'a', name: 'look', arguments: '{}' },
        { type: 'function_call_output', call_id: 'a', output },
      ];
      const { status, json } = await post('/v1/responses', { ...settings, max_output_tokens: 16, input });
      expect(status).toBe(200);
      return (json.usage as unknown as { input_tokens: number }).input_tokens;
    };
    const shown = await chat([{ type: 'image_url', image_url: { url } }]);
    expect(shown).toBeGreaterThan(await chat('w8'));
    expect(await respond([{ type: 'input_image', image_url: url }])).toBe(shown);
  });

  it('refuses audio and files by name', async () => {
    const audio = { type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } };
    const body = { model: 'eyes', messages: [{ role: 'user', content: [audio] }] };
    const { status, json } = await post('/v1/chat/completions', body);
    expect([status, JSON.stringify(json)]).toEqual([400, expect.stringMatching(/type.*text, image_url/)]);
  });

  it('refuses other hosts, redirects, other schemes and files that are not images', async () => {
    const refusals: readonly (readonly [url: string, message: RegExp])[] = [
      ['http://images.example.com/a.png', /not fetched.*imageHosts/],
      [`http://${host}/away`, /cannot be fetched/],
      ['file:///etc/passwd', /not an address/],
      ['data:image/png;base64,====x!', /damaged/],
      [`data:image/png;base64,${Buffer.from('no image').toString('base64')}`, /not a readable image/],
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
