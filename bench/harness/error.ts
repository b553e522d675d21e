/** The reason why a benchmark cannot continue, such as a missing file; not a defect of the program. */
export class BenchError extends Error {}
