// Models with settings that ../shared/reference has not: what make_switches.py had transformers compute.
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe } from 'vitest';
import { isas } from '../describe-op.js';
import { testCheckpoint } from './reference.js';

const folder = new URL('switches/', import.meta.url);
const bytes = (name: string) => readFile(new URL(name, folder));
const json = async (name: string) => JSON.parse((await bytes(name)).toString());

describe.each(isas)('%s', (isa) => {
  describe.each(readdirSync(folder))('%s', (name) => testCheckpoint({ bytes, json }, name, isa, { writes: true }));
});
