import { describe, expect, it } from 'vitest';

import { findQuote } from '../src/staleness';

const TEXT = 'import pandas\n\ndf = read()\ndf = df.dropna()\nprint(df)\n';

describe('findQuote', () => {
  it('finds the lines where they were cited', () => {
    expect(findQuote(TEXT, 'df = read()\ndf = df.dropna()', 3, 'The file')).toEqual({ line: 3, lines: 2, remark: '' });
  });

  it('finds lines that have moved, and says so', () => {
    const found = findQuote(TEXT, 'df = df.dropna()', 1, 'The file');
    expect(found.line).toBe(4);
    expect(found.remark).toContain('moved to line 4');
  });

  it('says that the text has changed where the lines are gone', () => {
    const found = findQuote(TEXT, 'df = df.fillna(0)', 4, 'The cell');
    expect(found).toEqual({ line: 4, lines: 1, remark: 'The cell has changed since it was cited.' });
  });

  it('stays within a text that has become shorter', () => {
    const found = findQuote('one\n', 'two\nthree', 40, 'The file');
    expect(found.line).toBeLessThanOrEqual(2);
    expect(found.lines).toBeGreaterThanOrEqual(1);
  });
});
