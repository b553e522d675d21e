export const INSTALLED: { readonly package: number; readonly addon: number };
