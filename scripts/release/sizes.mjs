/**
 * Largest sizes in bytes of what `npm install simdformer` leaves on a disk: the main package, and the prebuilt addon of a
 * platform. Together they take at most 8 MB. The release checks both; tests check the first, because they have no prebuilt
 * addon. Clang's addons are larger than the one that g++ builds in a clone.
 */
export const INSTALLED = { package: 5.1e6, addon: 2.9e6 };
