/** Options with their defaults: of `name?: T | undefined` is left `name: T`, whatever `exactOptionalPropertyTypes` says. */
export type Complete<Options> = { [Name in keyof Options]-?: Exclude<Options[Name], undefined> };
