/** Opens what an answer cites: a file at its lines, a notebook at its cell, and marks it. */

import type { Cell } from '@jupyterlab/cells';
import { CodeCell } from '@jupyterlab/cells';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { IDocumentWidget } from '@jupyterlab/docregistry';
import { FileEditor } from '@jupyterlab/fileeditor';
import { NotebookPanel } from '@jupyterlab/notebook';

import { Failure, type Target } from '../../parts/src';
import { markLines } from './citedlines';
import { findQuote } from './staleness';
import type { Workspace } from './workspace';

const CITED = 'lb-cited';
const AGAIN = 'Ask again: the index is brought up to date first.';

export class Opener {
  private unmark: () => void = () => undefined;

  constructor(
    private readonly documents: IDocumentManager,
    private readonly workspace: Workspace
  ) {}

  /** Opens and marks the place; returns a remark, such as that the cell has changed. Throws a Failure for no file. */
  async open(place: Target): Promise<string> {
    const path = this.workspace.pathOf(place);
    await this.requireFile(path);
    const document = this.show(path, place);
    if (!document) {
      throw new Failure(`JupyterLab has nothing that opens ${place.path}.`);
    }
    await document.revealed;
    await document.context.ready;
    this.unmark();
    if (document instanceof NotebookPanel && place.cell_index !== null) {
      return this.markCell(document, place);
    }
    if (document.content instanceof FileEditor) {
      return this.markFile(document.content, place);
    }
    return 'It is shown whole: this kind of document has no lines here.';
  }

  private async requireFile(path: string): Promise<void> {
    try {
      await this.documents.services.contents.get(path, { content: false });
    } catch {
      throw new Failure(`${path} is not there any more.`, AGAIN);
    }
  }

  /** Text is opened in the editor, which has lines, unless another view of it is open or is the only one. */
  private show(path: string, place: Target): IDocumentWidget | undefined {
    const open = this.documents.findWidget(path, 'Editor');
    const text = this.documents.registry.getFileTypesForPath(path).some(type => type.fileFormat === 'text');
    const factory = open || (text && place.cell_index === null) ? 'Editor' : 'default';
    return this.documents.openOrReveal(path, factory);
  }

  private markFile(content: FileEditor, place: Target): string {
    const { editor } = content;
    const found = findQuote(content.model.sharedModel.getSource(), place.quote ?? '', place.start_line, 'The file');
    markLines(editor, { first: found.line, last: found.line + found.lines - 1 });
    this.unmark = () => markLines(editor, null);
    return place.quote ? found.remark : '';
  }

  private async markCell(panel: NotebookPanel, place: Target): Promise<string> {
    const notebook = panel.content;
    const index = findCell(notebook.widgets.map(one => one.model.id), place);
    const cell = notebook.widgets[index];
    if (!cell) {
      throw new Failure(`That cell is no longer in ${place.path}.`, AGAIN);
    }
    notebook.activeCellIndex = index;
    notebook.deselectAll();
    await notebook.scrollToItem(index, 'center');
    await cell.ready;
    return this.markInside(cell, place);
  }

  private markInside(cell: Cell, place: Target): string {
    const source = cell.model.sharedModel.getSource();
    const count = source.split('\n').length;
    cell.addClass(CITED);
    if (place.start_line > count) {
      return this.markOutputs(cell);
    }
    const inSource = (place.quote ?? '').split('\n').slice(0, count - place.start_line + 1).join('\n');
    const found = findQuote(source, inSource, place.start_line, 'This cell');
    const { editor } = cell;
    if (editor) {
      markLines(editor, { first: found.line, last: found.line + found.lines - 1 });
    }
    this.unmark = () => {
      cell.removeClass(CITED);
      if (editor && !editor.isDisposed) {
        markLines(editor, null);
      }
    };
    return place.quote ? found.remark : '';
  }

  private markOutputs(cell: Cell): string {
    this.unmark = () => cell.removeClass(CITED);
    if (!(cell instanceof CodeCell) || cell.model.outputs.length === 0) {
      return 'The output that was cited is no longer there.';
    }
    const area = cell.outputArea;
    area.addClass(CITED);
    area.node.scrollIntoView({ block: 'nearest' });
    this.unmark = () => {
      cell.removeClass(CITED);
      area.removeClass(CITED);
    };
    return '';
  }
}

/** Returns the position of the cell; notebooks of an older format have no ids, and the index names the position. */
export function findCell(ids: string[], { cell_id, cell_index }: Pick<Target, 'cell_id' | 'cell_index'>): number {
  const named = ids.findIndex(id => id === cell_id);
  return named < 0 && (cell_id === null || cell_id === `cell-${cell_index}`) ? (cell_index ?? -1) : named;
}
