// What is loaded when it is first called: pages that neither train nor look inside need not download it. In one file, as
// each would make further ones of what it shares with the rest.

export { Run } from './train/run.js';
