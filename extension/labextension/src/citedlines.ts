/** Lines of an editor that a citation marks, until another one does or they are changed. */

import { StateEffect, StateField, type Extension } from '@codemirror/state';
import { Decoration, EditorView, type DecorationSet } from '@codemirror/view';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import { CodeMirrorEditor } from '@jupyterlab/codemirror';

interface Lines {
  first: number;
  last: number;
}

const mark = StateEffect.define<Lines | null>();
const line = Decoration.line({ class: 'lb-cited-line' });

const field = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marked, transaction) {
    let now = transaction.docChanged ? Decoration.none : marked;
    for (const effect of transaction.effects) {
      if (effect.is(mark)) {
        const { doc } = transaction.state;
        now = effect.value ? decorate(number => doc.line(number).from, effect.value, doc.lines) : Decoration.none;
      }
    }
    return now;
  },
  provide: marked => EditorView.decorations.from(marked)
});

const extension: Extension = field;

function decorate(from: (number: number) => number, { first, last }: Lines, count: number): DecorationSet {
  const found = [];
  for (let number = Math.max(1, first); number <= Math.min(last, count); number += 1) {
    found.push(line.range(from(number)));
  }
  return Decoration.set(found);
}

/** Marks the lines (1-based, inclusive) and brings the first into sight; null takes the mark away. */
export function markLines(editor: CodeEditor.IEditor, lines: Lines | null): void {
  if (!(editor instanceof CodeMirrorEditor)) {
    return;
  }
  if (editor.state.field(field, false) === undefined) {
    editor.injectExtension(extension);
  }
  editor.editor.dispatch({ effects: mark.of(lines) });
  if (lines) {
    const at = { line: Math.min(lines.first, editor.lineCount) - 1, column: 0 };
    editor.setCursorPosition(at);
    editor.revealPosition(at);
  }
}
