/** The side panel: a chat over the workspace. */

import { CommandToolbarButton, Toolbar } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import { Panel, Widget } from '@lumino/widgets';

import { Chat, type ChatParts, type Question } from '../../parts/src';
import { bookIcon } from './icon';
import { welcome } from './welcome';
import type { Workspace } from './workspace';

/** What the panel is built from: a chat's parts, and the folders that it asks about. */
export interface SidePanelParts extends Omit<ChatParts, 'welcome'> {
  workspace: Workspace;
  /** What is being taught, which stands above the chat. */
  lesson: HTMLElement;
}

export class SidePanel extends Panel {
  readonly chat: Chat;

  private readonly toolbar = new Toolbar();
  private load: () => void = () => undefined;

  constructor(parts: SidePanelParts) {
    super();
    this.id = 'lorebook-panel';
    this.title.icon = bookIcon;
    this.title.caption = 'lorebook: ask about your files';
    this.addClass('lb-panel');
    const { workspace } = parts;
    this.chat = new Chat({
      ...parts,
      choices: (): Partial<Question> => ({ roots: workspace.roots, ...parts.choices() }),
      welcome: welcome(workspace, question => void this.chat.ask(question))
    });
    this.showScope(workspace.name);
    this.toolbar.node.setAttribute('aria-label', 'lorebook');
    const frame = new Widget();
    frame.addClass('lb-frame');
    frame.node.append(parts.lesson, this.chat.element);
    this.addWidget(this.toolbar);
    this.addWidget(frame);
  }

  /** Says beside the question what is asked about, and with what. */
  showScope(scope: string): void {
    this.chat.context.setScope(scope);
  }

  /** Calls `load` when the panel is shown for the first time: the daemon is not started for a panel nobody looks at. */
  onFirstShow(load: () => void): void {
    this.load = load;
  }

  /** Puts commands into the panel's toolbar; they must have been added. */
  addButtons(commands: CommandRegistry, ids: string[]): void {
    ids.forEach(id => this.toolbar.addItem(id, new CommandToolbarButton({ commands, id, label: '' })));
  }

  protected override onAfterShow(): void {
    this.load();
    this.load = () => undefined;
  }

  protected override onActivateRequest(): void {
    this.chat.focus();
  }
}
