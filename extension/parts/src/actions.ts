/** What the parts leave to the page they stand in. */

import type { Place } from './schema';

/** A place to be opened; `quote` is what stood there when it was cited, and `sha256` is of that. */
export type Target = Place & { quote?: string; sha256?: string };

export interface Actions {
  /**
   * Opens the file at the line, or the notebook at the cell, and shows it. Returns a remark that is shown beside it,
   * such as that the cell has changed since; '' where there is nothing to say. Rejects where it cannot be opened.
   */
  openCitation: (place: Target) => Promise<string>;
  /** Puts code into a new cell or at the cursor; where it is absent there is no such button. */
  insertCode?: (code: string, language: string) => void | Promise<void>;
  /** Offers to put code in the place of the current cell's, the difference shown first; may be absent too. */
  replaceCode?: (code: string, language: string) => void | Promise<void>;
  /** Colours code; what is not coloured is shown plain. */
  highlight?: (code: string, language: string, into: HTMLElement) => Promise<void>;
}
