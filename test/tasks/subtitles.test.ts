import { expect, it } from 'vitest';
import { srt, vtt } from '../../src/tasks/speech/subtitles.js';

const chunks = [
  { text: ' One', timestamp: [0, 1.5] as const },
  { text: ' two', timestamp: [3599.9996, null] as const },
  { text: ' three', timestamp: [3661.25, null] as const },
];

it('writes SubRip', () => {
  expect(srt(chunks)).toBe(
    '1\n00:00:00,000 --> 00:00:01,500\nOne\n\n2\n01:00:00,000 --> 01:01:01,250\ntwo\n\n3\n01:01:01,250 --> 01:01:03,250\nthree\n\n',
  );
});

it('writes WebVTT', () => {
  expect(vtt(chunks.slice(0, 1))).toBe('WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne\n\n');
});
