// The errors that all layers throw. They are defined in the lowest layer, because the backend throws some of them.
export * from '../backend/errors.js';
