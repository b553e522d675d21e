import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

// adapter-node leaves packages of `dependencies` out of its bundle. The package must be one of them.
export default defineConfig({ plugins: [sveltekit({ adapter: adapter() })] });
