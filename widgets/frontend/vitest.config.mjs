import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const library = name => fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));

export default defineConfig({
  resolve: { alias: { dompurify: library('dompurify'), marked: library('marked') } },
  test: { environment: 'jsdom' }
});
