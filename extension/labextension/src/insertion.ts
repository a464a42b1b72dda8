/** Code from an answer into the notebook: as a new cell, or in a cell's place, the difference shown first. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import { NotebookActions, type INotebookTracker } from '@jupyterlab/notebook';
import { Widget } from '@lumino/widgets';

import { Failure } from '../../parts/src';
import { diffElement } from './diff';

/** Puts the code into a new cell below the current one; the notebook's undo takes it away again. */
export async function insertCell(tracker: INotebookTracker, code: string): Promise<void> {
  const { notebook } = require(tracker);
  NotebookActions.insertBelow(notebook);
  notebook.activeCell?.model.sharedModel.setSource(code);
  await notebook.scrollToItem(notebook.activeCellIndex, 'auto');
}

/** Shows what would change in the current cell and, if the person agrees, changes it; undo brings the old text back. */
export async function replaceCell(tracker: INotebookTracker, code: string): Promise<void> {
  const { cell } = require(tracker);
  const { sharedModel } = cell.model;
  const result = await showDialog({
    title: 'Replace the current cell?',
    body: new Widget({ node: diffElement(sharedModel.getSource(), code) }),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Replace' })]
  });
  if (result.button.accept) {
    sharedModel.updateSource(0, sharedModel.getSource().length, code);
  }
}

function require(tracker: INotebookTracker) {
  const notebook = tracker.currentWidget?.content;
  const cell = notebook?.activeCell;
  if (!notebook || !cell) {
    throw new Failure('No notebook is open.', 'Open the notebook that the code should go to.');
  }
  return { notebook, cell };
}
