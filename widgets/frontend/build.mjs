// Makes ../lorebook/static/NAME.js and NAME.css of each widget; the parts' libraries are taken from here.
import { build } from 'esbuild';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const names = ['chat', 'search', 'index', 'teach', 'evaluate', 'arena'];

await rm(`${here}../lorebook/static`, { recursive: true, force: true });
await build({
  entryPoints: Object.fromEntries(names.map(name => [name, `${here}src/${name}.ts`])),
  outdir: `${here}../lorebook/static`,
  nodePaths: [`${here}node_modules`],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'inline',
  logLevel: 'warning'
});
