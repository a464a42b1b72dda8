/** lorebook's commands: for the palette, the shortcuts, the cell's toolbar and context menu. */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { addIcon, downloadIcon, errorIcon, refreshIcon } from '@jupyterlab/ui-components';

import { asFailure } from '../../parts/src';
import { attachCell, attachError, hasFailed } from './cells';
import type { Choices } from './choices';
import type { Conversation } from './conversation';
import { saveText } from './download';
import type { HttpDoor } from './httpdoor';
import { bookIcon, capIcon } from './icon';
import type { Lesson } from './lesson';
import { count } from './lessonview';
import type { SidePanel } from './panel';
import type { Workspace } from './workspace';

export const COMMANDS = {
  open: 'lorebook:open',
  askCell: 'lorebook:ask-cell',
  explainError: 'lorebook:explain-error',
  teachCells: 'lorebook:teach-cells',
  fresh: 'lorebook:new-conversation',
  stop: 'lorebook:stop',
  save: 'lorebook:export-conversation',
  index: 'lorebook:index'
} as const;

const EXPLAIN = 'What does this error mean, and how do I mend it?';

/** What the commands act on. */
export interface Scene {
  app: JupyterFrontEnd;
  tracker: INotebookTracker;
  door: HttpDoor;
  workspace: Workspace;
  conversation: Conversation;
  panel: SidePanel;
  lesson: Lesson;
  choices: () => Choices;
}

/** Adds every command. */
export function addCommands(scene: Scene): void {
  addPanelCommands(scene);
  addCellCommands(scene);
  addTeachCommand(scene);
  scene.app.commands.addCommand(COMMANDS.index, {
    label: 'Index the Workspace Now',
    caption: 'Read what has changed in the folders that are asked about',
    icon: refreshIcon,
    execute: () => runIndex(scene)
  });
}

function addPanelCommands({ app, conversation, panel }: Scene): void {
  const { commands } = app;
  commands.addCommand(COMMANDS.open, {
    label: 'Ask About Your Files',
    caption: 'Open the lorebook panel',
    icon: bookIcon,
    execute: () => app.shell.activateById(panel.id)
  });
  commands.addCommand(COMMANDS.fresh, {
    label: 'New Conversation',
    caption: 'Begin a new conversation',
    icon: addIcon,
    execute: () => {
      conversation.begin();
      panel.chat.clear();
      app.shell.activateById(panel.id);
    }
  });
  commands.addCommand(COMMANDS.stop, {
    label: 'Stop the Answer',
    isEnabled: () => panel.chat.isRunning,
    execute: () => panel.chat.stop()
  });
  commands.addCommand(COMMANDS.save, {
    label: 'Export the Conversation',
    caption: 'Save the conversation as Markdown',
    icon: downloadIcon,
    isEnabled: () => panel.chat.turns.length > 0,
    execute: () => saveText('lorebook.md', panel.chat.exportMarkdown())
  });
}

function addCellCommands({ app, tracker, workspace, panel, choices }: Scene): void {
  const { commands } = app;
  const current = () => {
    const notebook = tracker.currentWidget;
    const cell = notebook?.content.activeCell;
    return notebook && cell ? { notebook, cell } : null;
  };
  commands.addCommand(COMMANDS.askCell, {
    label: 'Ask About This Cell',
    caption: 'Ask lorebook about this cell',
    icon: bookIcon,
    isEnabled: () => current() !== null,
    execute: () => {
      const at = current();
      if (at) {
        panel.chat.attach(attachCell(at.notebook, at.cell, choices().outputs, workspace));
        app.shell.activateById(panel.id);
      }
    }
  });
  commands.addCommand(COMMANDS.explainError, {
    label: 'Explain the Error',
    caption: 'Ask lorebook to explain the error of this cell',
    icon: errorIcon,
    isVisible: () => hasFailed(current()?.cell ?? null),
    isEnabled: () => hasFailed(current()?.cell ?? null),
    execute: () => {
      const at = current();
      const error = at && attachError(at.notebook, at.cell, workspace);
      if (at && error) {
        const { chat } = panel;
        chat.attach(attachCell(at.notebook, at.cell, false, workspace));
        chat.attach(error);
        chat.composer.text = EXPLAIN;
        app.shell.activateById(panel.id);
      }
    }
  });
}

function addTeachCommand({ app, tracker, workspace, panel, lesson, choices }: Scene): void {
  app.commands.addCommand(COMMANDS.teachCells, {
    label: 'Teach Selected Cells',
    caption: 'Save the notebook and look at what lorebook would learn from the selected cells',
    icon: capIcon,
    isEnabled: () => tracker.currentWidget !== null,
    execute: async () => {
      const notebook = tracker.currentWidget;
      if (!notebook) {
        return;
      }
      app.shell.activateById(panel.id);
      const { content, context } = notebook;
      const ids = content.widgets.filter(cell => content.isSelectedOrActive(cell)).map(cell => cell.model.id);
      const name = context.path.split('/').pop() ?? '';
      await lesson.propose(`Teach ${count(ids.length, 'cell')} of ${name}`, async () => {
        const path = workspace.fileOf(context.path);
        if (context.model.dirty) {
          await context.save(); // what stands in the file is what is taught
        }
        return { notebooks: [path], ids, base: choices().model };
      });
    }
  });
}

/** Runs the indexer, its progress shown as JupyterLab shows that of other long work. */
async function runIndex({ door, workspace }: Scene): Promise<void> {
  const id = Notification.emit('Indexing …', 'in-progress', { autoClose: false });
  try {
    for await (const event of door.index(workspace.roots, new AbortController().signal)) {
      if (event.event === 'progress') {
        Notification.update({ id, message: event.data.what });
      } else if (event.event === 'report') {
        const { files, passages } = event.data;
        const message = `${files} files, ${passages} passages are indexed.`;
        Notification.update({ id, message, type: 'success', autoClose: 4000 });
      }
    }
  } catch (error) {
    const { message, hint } = asFailure(error);
    Notification.update({ id, message: `${message} ${hint}`, type: 'error', autoClose: false });
  }
}
