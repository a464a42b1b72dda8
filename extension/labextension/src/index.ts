/** lorebook in JupyterLab: one plugin that puts the panel, the commands and the status item together. */

import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';

import { asFailure, offerActions, type Actions, type Turn } from '../../parts/src';
import { asFields, readChoices } from './choices';
import { addCommands, COMMANDS } from './commands';
import { Consent } from './consent';
import { Conversation } from './conversation';
import { HttpDoor } from './httpdoor';
import { insertCell, replaceCell } from './insertion';
import { Lesson } from './lesson';
import { Opener } from './opener';
import { OpenNotebooks } from './opennotebooks';
import { SidePanel } from './panel';
import { StatusItem } from './status';
import { Workspace } from './workspace';

const ID = 'lorebook-lab:plugin';

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Ask your own notebooks and code, with citations that open.',
  autoStart: true,
  requires: [INotebookTracker, IDocumentManager],
  optional: [ISettingRegistry, ICommandPalette, ILayoutRestorer, IStateDB, IStatusBar, IEditorLanguageRegistry],
  activate
};

export default plugin;

function activate(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  documents: IDocumentManager,
  registry: ISettingRegistry | null,
  palette: ICommandPalette | null,
  restorer: ILayoutRestorer | null,
  state: IStateDB | null,
  statusBar: IStatusBar | null,
  languages: IEditorLanguageRegistry | null
): void {
  const workspace = Workspace.fromPage();
  const door = new HttpDoor(app.serviceManager.serverSettings);
  const conversation = new Conversation(state, door);
  const consent = new Consent(door, workspace);
  const opener = new Opener(documents, workspace);
  const notebooks = new OpenNotebooks(tracker, door, workspace);
  let settings: ISettingRegistry.ISettings | null = null;
  let status: StatusItem | null = null;
  const choices = () => readChoices(settings);

  const actions = actionsOf(opener, tracker, languages);
  offerActions(actions); // to the widgets in the notebooks' outputs
  const lesson = new Lesson({
    door,
    choose: async adapter => void (await settings?.set('adapters', adapter ? [adapter] : [])),
    changed: () => status?.redraw()
  });
  const parts = {
    door,
    workspace,
    lesson: lesson.element,
    actions,
    choices: () => ({ conversation: conversation.id, ...asFields(choices()) }),
    cut: (turn: Turn) => conversation.cut(turn),
    mayAsk: async () => {
      const may = await consent.ask();
      await (may ? notebooks.settle() : undefined);
      return may;
    },
    changed: (turns: Turn[]) => {
      app.commands.notifyCommandChanged();
      status?.refresh();
      conversation.note(turns);
      if (turns.at(-1)?.state === 'done') {
        void told(look());
      }
    }
  };
  const panel = new SidePanel(parts);
  /** Looks at a daemon that runs, which says whether opinions are kept. */
  const look = async (): Promise<boolean> => {
    const seen = await door.glance();
    panel.chat.takeVotes(seen !== null && seen.feedback !== 'off');
    return seen !== null;
  };
  const arrive = async (): Promise<void> => {
    panel.chat.restore(await conversation.load());
    if (await look()) {
      await lesson.pickUp();
    }
  };
  addCommands({ app, tracker, door, workspace, conversation, panel, lesson, choices });
  panel.addButtons(app.commands, [COMMANDS.fresh, COMMANDS.save, COMMANDS.index]);
  app.shell.add(panel, 'right', { rank: 450 });
  restorer?.add(panel, panel.id);
  panel.onFirstShow(() => void told(arrive()));

  Object.values(COMMANDS).forEach(command => palette?.addItem({ command, category: 'lorebook' }));
  tracker.activeCellChanged.connect(() => app.commands.notifyCommandChanged(COMMANDS.explainError));
  void registry?.load(ID).then(loaded => {
    settings = loaded;
    const showScope = () => panel.showScope([workspace.name, ...choices().adapters].join(' + '));
    loaded.changed.connect(showScope);
    showScope();
    if (statusBar && choices().statusBar) {
      status = new StatusItem(
        door,
        workspace,
        () => ({ doing: lesson.doing, adapters: choices().adapters }),
        () => void app.commands.execute(COMMANDS.open)
      );
      statusBar.registerStatusItem(ID, { item: status, align: 'left', rank: 500 });
    }
  });
}

function actionsOf(opener: Opener, tracker: INotebookTracker, languages: IEditorLanguageRegistry | null): Actions {
  return {
    openCitation: place => opener.open(place),
    insertCode: code => told(insertCell(tracker, code)),
    replaceCode: code => told(replaceCell(tracker, code)),
    highlight: (code, language, into) => highlight(languages, code, language, into)
  };
}

/** Colours code as the notebook does; a language that nobody knows stays plain. */
async function highlight(
  languages: IEditorLanguageRegistry | null,
  code: string,
  language: string,
  into: HTMLElement
): Promise<void> {
  const found = languages?.findBest(language);
  if (languages && found) {
    into.textContent = '';
    await languages.highlight(code, found, into);
  }
}

/** Tells the person what went wrong with a press of a button. */
async function told(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const { message, hint } = asFailure(error);
    Notification.error(`${message} ${hint}`);
  }
}
