import js from '@eslint/js';
import ts from 'typescript-eslint';

export default ts.config(
  { ignores: ['node_modules', 'eslint.config.mjs', 'build.mjs', 'vitest.config.mjs'] },
  js.configs.recommended,
  ...ts.configs.recommendedTypeChecked,
  { languageOptions: { parserOptions: { projectService: true } } },
  { rules: { complexity: ['error', 10], 'max-lines': ['error', 400], 'max-len': ['error', 120] } }
);
