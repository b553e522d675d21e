/** Options with their defaults: `name: T` for `name?: T | undefined`. TypeScript's `Required` may keep undefined. */
export type Complete<Options> = { [Name in keyof Options]-?: Exclude<Options[Name], undefined> };
