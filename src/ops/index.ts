export { contiguous } from './contiguous.js';
