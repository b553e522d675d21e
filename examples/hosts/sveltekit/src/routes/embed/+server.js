import { embed } from '../../embed.js';

export async function GET({ url }) {
  return Response.json(await embed(url.searchParams.get('text') ?? ''));
}
