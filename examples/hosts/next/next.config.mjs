/** @type {import('next').NextConfig} */
export default {
  // The package stays out of the bundle: it finds its addon beside its own files.
  serverExternalPackages: ['simdformer'],
};
