import { expect, it } from 'vitest';
import { isHubId } from '../../src/pretrained/hub.js';

// Python's huggingface_hub has equal rules.
it.each(['gpt2', 'org/name', 'sentence-transformers/all-MiniLM-L6-v2', 'a_b/c.d-e', 'google/t5-v1_1-small'])(
  '%j is an id on the hub',
  (id) => expect(isHubId(id)).toBe(true),
);

const LONG = 'x'.repeat(97);
it.each(['', '.', './a', '../a', 'a/b/c', 'a--b', 'a..b', '-a', 'a-', '/a', 'a/', 'a b', 'a.git', 'a\\b', LONG])(
  '%j is none',
  (text) => expect(isHubId(text)).toBe(false),
);
