import { expect, it } from 'vitest';

import { namePlace } from '../src/place';
import { citation } from './answers';

it('is spelt as the command line spells it', () => {
  expect(namePlace(citation({ end_line: 24 }))).toBe('src/a.py:10-24');
  expect(namePlace(citation({ end_line: 10 }))).toBe('src/a.py:10');
  const cell = citation({ path: 'clean.ipynb', start_line: 2, end_line: 4, cell_index: 5 });
  expect(namePlace({ ...cell, execution_count: 7 })).toBe('clean.ipynb · cell 5 [In 7] lines 2-4');
  expect(namePlace({ ...cell, end_line: 2 })).toBe('clean.ipynb · cell 5 line 2');
});
