// Transcripts with times as subtitles.

import type { TranscriptChunk } from './transcript.js';

/** SubRip: numbered, with commas before milliseconds. */
export function srt(chunks: readonly TranscriptChunk[]): string {
  return timed(chunks)
    .map(({ start, end, text }, i) => `${i + 1}\n${clock(start, ',')} --> ${clock(end, ',')}\n${text}\n\n`)
    .join('');
}

/** WebVTT (https://www.w3.org/TR/webvtt1). */
export function vtt(chunks: readonly TranscriptChunk[]): string {
  const cues = timed(chunks).map(({ start, end, text }) => `${clock(start, '.')} --> ${clock(end, '.')}\n${text}\n\n`);
  return `WEBVTT\n\n${cues.join('')}`;
}

/** Returns chunks with both times. A missing end is the start of the next chunk, or two seconds after the start. */
function timed(chunks: readonly TranscriptChunk[]): { start: number; end: number; text: string }[] {
  return chunks.map(({ text, timestamp: [from, to] }, i) => {
    const start = from ?? 0;
    return { start, end: to ?? chunks[i + 1]?.timestamp[0] ?? start + 2, text: text.trim() };
  });
}

function clock(seconds: number, point: string): string {
  const all = Math.round(seconds * 1000);
  const part = (value: number, digits: number) => String(value).padStart(digits, '0');
  const [hours, minutes, rest] = [Math.floor(all / 3_600_000), Math.floor(all / 60_000) % 60, all % 60_000];
  return `${part(hours, 2)}:${part(minutes, 2)}:${part(Math.floor(rest / 1000), 2)}${point}${part(rest % 1000, 3)}`;
}
