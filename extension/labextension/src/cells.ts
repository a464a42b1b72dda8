/** What a cell gives to a question: its source, its outputs as text, its error. */

import type { Cell } from '@jupyterlab/cells';
import { CodeCell } from '@jupyterlab/cells';
import type { IOutput } from '@jupyterlab/nbformat';
import * as nbformat from '@jupyterlab/nbformat';
import type { NotebookPanel } from '@jupyterlab/notebook';

import type { Attachment } from '../../parts/src';
import type { Workspace } from './workspace';

const MOST_CHARACTERS = 6000;
/** Of a cell's outputs: a model's context is small. What is more is left out in the middle, and a line says so. */

/** Returns the cell as it stands now, saved or not; its outputs follow its source where `outputs` says so. */
export function attachCell(panel: NotebookPanel, cell: Cell, outputs: boolean, workspace: Workspace): Attachment {
  const printed = outputs ? outputsOf(cell).map(outputText).filter(Boolean).join('\n') : '';
  const source = cell.model.sharedModel.getSource();
  return { ...placeOf(panel, cell, workspace), text: [source, shorten(printed)].filter(Boolean).join('\n') };
}

/** Returns the cell's error with its traceback, null where it has none. */
export function attachError(panel: NotebookPanel, cell: Cell, workspace: Workspace): Attachment | null {
  const error = outputsOf(cell).find(nbformat.isError);
  if (!error) {
    return null;
  }
  const { title, ...place } = placeOf(panel, cell, workspace);
  return { ...place, title: `Error of ${title}`, text: shorten(outputText(error)) };
}

/** Whether the last run of the cell failed. */
export function hasFailed(cell: Cell | null): boolean {
  return cell !== null && outputsOf(cell).some(nbformat.isError);
}

function placeOf(panel: NotebookPanel, cell: Cell, workspace: Workspace): Omit<Attachment, 'text'> {
  const cell_index = panel.content.widgets.indexOf(cell);
  const execution_count = cell instanceof CodeCell ? cell.model.executionCount : null;
  const name = panel.context.path.split('/').pop() ?? '';
  const ran = execution_count === null ? '' : ` [In ${execution_count}]`;
  return {
    title: `${name} · cell ${cell_index}${ran}`,
    path: workspace.insideRoot(panel.context.path),
    cell_id: cell.model.id,
    cell_index,
    execution_count
  };
}

function outputsOf(cell: Cell): IOutput[] {
  return cell instanceof CodeCell ? cell.model.outputs.toJSON() : [];
}

function outputText(output: IOutput): string {
  if (nbformat.isStream(output)) {
    return joined(output.text);
  }
  if (nbformat.isError(output)) {
    const traceback = output.traceback.join('\n');
    return withoutColours(traceback || `${output.ename}: ${output.evalue}`);
  }
  const data = (output.data ?? {}) as Record<string, unknown>;
  return joined(data['text/plain'] ?? '');
}

function joined(text: unknown): string {
  return withoutColours(Array.isArray(text) ? text.join('') : String(text));
}

/** Takes the terminal's colours out of a text (ECMA-48, control sequences). */
export function withoutColours(text: string): string {
  // eslint-disable-next-line no-control-regex -- the escape character is what is looked for
  return text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, '').trimEnd();
}

/** Returns the text, its middle left out where it is too long. */
export function shorten(text: string, most = MOST_CHARACTERS): string {
  if (text.length <= most) {
    return text;
  }
  const half = Math.floor(most / 2);
  const left = text.length - 2 * half;
  return `${text.slice(0, half)}\n… ${left} characters left out …\n${text.slice(-half)}`;
}
