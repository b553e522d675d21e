export { buildMpi, type MpiBuild, type MpiName } from './build.js';
export { type Mpi, type MpiOptions, mpi } from './mpi.js';
