/** Options with their defaults: `name: T` of `name?: T | undefined`, where `Required` may leave undefined. */
export type Complete<Options> = { [Name in keyof Options]-?: Exclude<Options[Name], undefined> };
