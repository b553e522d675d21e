import { embed } from './embed.js';

// The answer depends on the request, so Next.js must not compute it while it builds.
export const dynamic = 'force-dynamic';

export async function GET(request) {
  return Response.json(await embed(new URL(request.url).searchParams.get('text') ?? ''));
}
