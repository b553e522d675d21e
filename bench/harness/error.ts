/** Why a benchmark cannot go on, in words for whoever runs it; no fault of the program. */
export class BenchError extends Error {}
