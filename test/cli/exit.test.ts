import { expect, it } from 'vitest';
import { describeError } from '../../src/cli/exit.js';
import { ArgumentError } from '../../src/index.js';

const system = (code: string, path?: string) => Object.assign(new Error('x'), { code, path });

it.each<[unknown, string | undefined]>([
  [new ArgumentError('wrong'), 'wrong'],
  [system('ENOENT', 'a/b.svg'), 'a/b.svg: there is no such file or folder (ENOENT)'],
  [system('ENOENT', ''), "'': there is no such file or folder (ENOENT)"],
  [system('ENOSPC'), 'a file cannot be used: its disk is full (ENOSPC)'],
  [system('ENOENT', 'a/b.svg.11984.tmp'), 'a/b.svg: there is no such file or folder (ENOENT)'],
  [
    system('EACCES', 'a/m.safetensors.0b1f6a2e-8c1d-4f5e-9a51-0d5e3a3f7c11.tmp'),
    'a/m.safetensors: this is not allowed (EACCES)',
  ],
  [system('ENOENT', '.0b1f6a2e-8c1d-4f5e-9a51-0d5e3a3f7c11.tmp'), "'': there is no such file or folder (ENOENT)"],
  [system('EROFS', 'a/m.gguf.unfinished-12'), 'a/m.gguf: its disk can only be read (EROFS)'],
  [system('ENOSPC', 'a/m.unfinished-12/config.json'), 'a/m/config.json: its disk is full (ENOSPC)'],
  [system('EXYZ'), 'x'],
  [system('EXYZ', 'a/b.svg'), 'a/b.svg: x'],
  [new RangeError('Invalid typed array length: 5'), expect.stringMatching(/more memory than there is/)],
  [new TypeError('x is not a function'), undefined],
])('%s', (error, description) => {
  expect(describeError(error)).toEqual(description);
});
