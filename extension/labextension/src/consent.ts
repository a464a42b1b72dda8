/** The person's word before a folder is read for the first time: it may be their whole home. */

import { Dialog, showDialog } from '@jupyterlab/apputils';

import type { HttpDoor } from './httpdoor';
import type { Workspace } from './workspace';

export class Consent {
  private given = false;

  constructor(
    private readonly door: HttpDoor,
    private readonly workspace: Workspace
  ) {}

  /** Resolves to whether the folders may be read; asks once, and never for those that are indexed. */
  async ask(): Promise<boolean> {
    if (!this.given) {
      const unread = await this.unread();
      this.given = unread.length === 0 || (await askPerson(unread));
    }
    return this.given;
  }

  private async unread(): Promise<string[]> {
    try {
      const known = (await this.door.status()).roots.map(root => root.root);
      return this.workspace.roots.filter(root => !known.includes(root));
    } catch {
      return []; // the question itself will say what is wrong, where the person looks
    }
  }
}

async function askPerson(unread: string[]): Promise<boolean> {
  const result = await showDialog({
    title: 'Read this folder?',
    body:
      `lorebook has not read ${unread.join(', ')} yet. It will index the notebooks, code and documents there; ` +
      'nothing leaves this machine.',
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Read and ask' })]
  });
  return result.button.accept;
}
