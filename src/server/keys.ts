import { createHash, timingSafeEqual } from 'node:crypto';
import { ApiError } from './errors.js';

/** Keys, as hashes of one length: comparing takes as long for any key that is wrong. */
export class Keys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest);
  }

  /** A name for who has the key, which does not tell it. Throws ApiError 401. */
  check(authorization: string | undefined): string {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    const headers = { 'www-authenticate': 'Bearer' };
    if (given === undefined) {
      const message = "You didn't provide an API key: send it as 'Authorization: Bearer KEY'.";
      throw new ApiError(401, message, 'missing_api_key', null, headers);
    }
    const own = digest(given);
    let found = -1;
    for (const [i, each] of this.#digests.entries()) if (timingSafeEqual(each, own)) found = i; // all, whichever fits
    if (found < 0) throw new ApiError(401, 'Incorrect API key provided.', 'invalid_api_key', null, headers);
    return `key ${found}`;
  }
}

const digest = (key: string) => createHash('sha256').update(key).digest();
