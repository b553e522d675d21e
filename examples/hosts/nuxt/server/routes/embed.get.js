import { embed } from '../utils/embed.js';

export default defineEventHandler((event) => embed(String(getQuery(event).text ?? '')));
