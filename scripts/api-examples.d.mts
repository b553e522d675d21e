export interface ApiExample {
  readonly page: string;
  readonly title: string;
  readonly code: string;
  /** `subpath:name` of each import. */
  readonly imports: readonly string[];
}
export const folder: string;
export function apiExamples(): ApiExample[];
export function exampleOf(examples: readonly ApiExample[], subpath: string, name: string): ApiExample | undefined;
