// Segments as subtitles: SubRip and WebVTT (W3C).

/** Text with its start and end in seconds. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export function subRip(segments: readonly Segment[]): string {
  return segments.map((segment, i) => `${i + 1}\n${cue(segment, ',')}\n`).join('\n');
}

export function webVtt(segments: readonly Segment[]): string {
  return `WEBVTT\n\n${segments.map((segment) => `${cue(segment, '.')}\n`).join('\n')}`;
}

/** Formats a segment. An arrow in its text is replaced, because it would be read as times. */
function cue({ start, end, text }: Segment, point: string): string {
  return `${clock(start, point)} --> ${clock(end, point)}\n${text.trim().replaceAll('-->', '->')}`;
}

function clock(seconds: number, point: string): string {
  const thousandths = Math.round(seconds * 1000);
  const part = (size: number, count: number) => String(Math.floor(thousandths / size) % count).padStart(2, '0');
  const rest = String(thousandths % 1000).padStart(3, '0');
  return `${part(3_600_000, Number.POSITIVE_INFINITY)}:${part(60_000, 60)}:${part(1000, 60)}${point}${rest}`;
}
