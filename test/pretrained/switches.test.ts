// Models with settings that test/data/reference does not have, and what transformers computes for them.
import { readdirSync } from 'node:fs';
import { describe } from 'vitest';
import { isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { testCheckpoint } from './reference.js';

const switches = testData('switches');
const names = readdirSync(switches.path).filter((name) => !name.includes('.'));

describe.each(isas)('%s', (isa) => {
  describe.each(names)('%s', (name) => testCheckpoint(switches, name, isa, { writes: true }));
});
