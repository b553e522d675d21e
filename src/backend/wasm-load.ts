// Compiles the modules of wasm/dist.

import { DeviceError } from './errors.js';
import { isNode, nodeModule } from './node.js';

/** A module, or the URL of its file. */
export type ModuleSource = WebAssembly.Module | string;

const compiled = new Map<string, WebAssembly.Module | Promise<WebAssembly.Module>>();

const keyOf = (url: string, shared: boolean) => (shared ? `${url} shared` : url);

/** Returns the compiled module, which devices share. `shared` is true if its memory must be shared with threads. */
export async function moduleOf(source: ModuleSource, shared: boolean): Promise<WebAssembly.Module> {
  if (typeof source !== 'string') return source;
  const key = keyOf(source, shared);
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const loading = compile(new URL(source), shared);
  compiled.set(key, loading);
  try {
    const module = await loading;
    compiled.set(key, module);
    return module;
  } catch (error) {
    compiled.delete(key);
    throw failure(source, error as Error);
  }
}

/** Like `moduleOf`, but synchronous. It blocks the thread until the module is loaded. */
export function moduleSync(source: ModuleSource, shared: boolean): WebAssembly.Module {
  if (typeof source !== 'string') return source;
  const key = keyOf(source, shared);
  const known = compiled.get(key);
  if (known instanceof WebAssembly.Module) return known;
  try {
    const bytes = files !== undefined ? files.readFileSync(new URL(source)) : download(source);
    const module = new WebAssembly.Module(shared ? share(bytes) : bytes);
    compiled.set(key, module);
    return module;
  } catch (error) {
    throw failure(source, error as Error);
  }
}

const failure = (url: string, cause: Error) =>
  new DeviceError(`the WebAssembly engine did not load from ${url}: ${cause.message}`, { cause });

/** Node's file system, for `moduleSync`. */
let files: typeof import('node:fs') | undefined;

export async function prepareFiles(): Promise<void> {
  if (isNode) files = await nodeModule<typeof import('node:fs')>('fs');
}

async function compile(url: URL, shared: boolean): Promise<WebAssembly.Module> {
  if (url.protocol === 'file:' && isNode) {
    await prepareFiles();
    // readFile() would start threads only for this.
    const bytes = (files as typeof import('node:fs')).readFileSync(url);
    return WebAssembly.compile(shared ? share(bytes) : bytes);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const type = response.headers.get('content-type');
  if (type === 'application/wasm' && !shared) return WebAssembly.compileStreaming(response);
  // Small static servers often omit the content type that streaming compilation needs. Others send a page for a missing
  // file.
  if (type?.startsWith('text/html')) throw new Error('the server sent a page, text/html');
  const bytes = await response.arrayBuffer();
  return WebAssembly.compile(shared ? share(new Uint8Array(bytes)) : bytes);
}

/**
 * Downloads a file by a blocking request. It asks for text, because pages may not ask for bytes in a blocking request.
 */
function download(url: string): Uint8Array<ArrayBuffer> {
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  request.overrideMimeType('text/plain; charset=x-user-defined');
  request.send();
  if (request.status !== 200) throw new Error(`HTTP status ${request.status}`);
  return Uint8Array.from(request.responseText, (character) => character.charCodeAt(0));
}

/** The bytes of the import in a module: the name `memory`, the kind 2 (memory), and the flag 1 (has a maximum). */
const MEMORY_IMPORT = [109, 101, 109, 111, 114, 121, 2, 1];

/**
 * Makes the imported memory of a module shared, by setting one bit of the flag after its name. The rest is unchanged.
 */
function share<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  let offset = 0;
  while (offset < bytes.length && !MEMORY_IMPORT.every((byte, i) => bytes[offset + i] === byte)) offset++;
  bytes[offset + MEMORY_IMPORT.length - 1] = 3;
  return bytes;
}
