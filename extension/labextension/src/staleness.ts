/** Where a quoted text stands now, and what to say where it stands there no longer. */

/** `line` is 1-based; `remark` is '' where the text stands where it was. */
export interface Found {
  line: number;
  lines: number;
  remark: string;
}

/**
 * Looks for `quote`, which stood at `line`, in `text`: there first, then anywhere. Where it is gone, the lines are
 * those that were cited, as far as there are so many, and the remark says that `what` has changed.
 */
export function findQuote(text: string, quote: string, line: number, what: string): Found {
  const wanted = squeeze(quote);
  const lines = squeeze(text);
  const starts = [line - 1, ...lines.keys()];
  const at = starts.find(start => wanted.length > 0 && wanted.every((one, i) => lines[start + i] === one));
  if (at === undefined) {
    const first = Math.min(line, lines.length);
    return {
      line: first,
      lines: Math.min(Math.max(1, wanted.length), lines.length - first + 1),
      remark: `${what} has changed since it was cited.`
    };
  }
  const moved = at === line - 1 ? '' : `These lines have moved to line ${at + 1} since they were cited.`;
  return { line: at + 1, lines: wanted.length, remark: moved };
}

function squeeze(text: string): string[] {
  return text.replace(/\r\n/g, '\n').split('\n').map(line => line.trim());
}
