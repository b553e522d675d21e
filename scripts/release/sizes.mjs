/**
 * Largest sizes in bytes of what `npm install simdformer` leaves on a disk: the main package, and the prebuilt addon of a
 * platform. Together they take at most 8.2 MB. The release checks both; tests check the first, because they have no prebuilt
 * addon. Clang's addons are larger than the one that g++ builds in a clone; that of x64 Windows is the largest, with 3.03 MB.
 */
export const INSTALLED = { package: 5.15e6, addon: 3.05e6 };
