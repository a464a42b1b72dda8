/** Where a passage stands, in words: the spelling of `lorebook_api.place`. */

import type { Place } from './schema';

/** Returns `src/a.py:10-24`, or `clean.ipynb · cell 5 [In 7] lines 2-4`; cells count from 0, as `cell_index` does. */
export function namePlace(place: Place): string {
  const span = place.start_line === place.end_line ? `${place.start_line}` : `${place.start_line}-${place.end_line}`;
  if (place.cell_index === null) {
    return `${place.path}:${span}`;
  }
  const ran = place.execution_count === null ? '' : ` [In ${place.execution_count}]`;
  const lines = place.start_line === place.end_line ? 'line' : 'lines';
  return `${place.path} · cell ${place.cell_index}${ran} ${lines} ${span}`;
}
