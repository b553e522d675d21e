import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from './errors.js';

/** API keys as hashes of equal length: comparing takes the same time for every wrong key. */
export class Keys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest);
  }

  /** True if a header has a valid key. */
  accepts(authorization: string | undefined): boolean {
    try {
      this.check(authorization);
      return true;
    } catch (error) {
      if (error instanceof ApiError) return false;
      throw error;
    }
  }

  /** Checks a header and returns a name for its key that does not reveal the key. Throws ApiError 401. */
  check(authorization: string | undefined): string {
    const apiKey = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const headers = { 'www-authenticate': 'Bearer' };
    if (apiKey === undefined) {
      const message = "You didn't provide an API key: send it as 'Authorization: Bearer KEY'.";
      throw new ApiError(401, message, 'missing_api_key', null, headers);
    }
    const digested = digest(apiKey);
    let found = -1;
    for (const [i, known] of this.#digests.entries()) if (timingSafeEqual(known, digested)) found = i; // all are compared, so that time reveals nothing
    if (found < 0) throw new ApiError(401, 'Incorrect API key provided.', 'invalid_api_key', null, headers);
    return `key ${found}`;
  }
}

const digest = (key: string) => createHash('sha256').update(key).digest();
