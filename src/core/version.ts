/** The version of this package, which is that of its engine. scripts/version.mjs writes it. */
export const VERSION = '0.1.0';
