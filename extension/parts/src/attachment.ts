/** What goes to the model beside the question: a cell, an error, a selection. Shown before it is sent. */

/** As `lorebook_api.asking.Attachment`: it is read, checked and cited like a passage. */
export interface Attachment {
  /** Names it, where it stands in no file and in the context bar. */
  title: string;
  text: string;
  /** Of its notebook or file below the root; '' for what stands in none. */
  path?: string;
  start_line?: number;
  cell_id?: string | null;
  cell_index?: number | null;
  execution_count?: number | null;
}

/** Returns the attachment as Markdown: its title, its text fenced. */
export function quoteAttachment({ title, text }: Attachment): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(run => run[0].length));
  const fence = '`'.repeat(Math.max(3, longest + 1));
  return `${title}:\n${fence}\n${text}\n${fence}`;
}
