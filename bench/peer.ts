export { Peer } from './harness/peer.js';
export { median } from './harness/statistics.js';
