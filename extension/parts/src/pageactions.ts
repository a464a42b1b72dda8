/**
 * Actions that one part of the page offers to another: the JupyterLab plugin can open files and change notebooks, a
 * widget in a cell's output cannot. They meet in an event of the document and know nothing else of each other.
 */

import type { Actions } from './actions';
import { Failure } from './door';
import { namePlace } from './place';

const EVENT = 'lorebook:action';

/** What is asked for; whoever can do it puts the outcome in and prevents the event's default. */
interface Wanted {
  deed: keyof Actions;
  values: unknown[];
  outcome?: Promise<unknown>;
}

/** Does what the page's other parts ask for, until the returned function is called. */
export function offerActions(actions: Actions): () => void {
  const deeds = actions as unknown as Record<string, ((...values: unknown[]) => unknown) | undefined>;
  const listen = (event: Event): void => {
    const wanted = (event as CustomEvent<Wanted>).detail;
    if (deeds[wanted.deed]) {
      event.preventDefault();
      wanted.outcome = Promise.resolve(deeds[wanted.deed]?.(...wanted.values));
    }
  };
  document.addEventListener(EVENT, listen);
  return () => document.removeEventListener(EVENT, listen);
}

/** Returns actions that ask the page; where nobody in it can do a thing, they say so. */
export function pageActions(): Actions {
  return {
    openCitation: async place => {
      const said = await ask('openCitation', [place]);
      if (said === undefined) {
        throw new Failure('This page cannot open files.', `Open it yourself: ${place.root}/${namePlace(place)}`);
      }
      return said as string;
    },
    insertCode: async (code, language) => {
      if ((await ask('insertCode', [code, language], '')) === undefined) {
        throw new Failure('This page cannot change the notebook.', 'Copy the code instead.');
      }
    },
    highlight: async (code, language, into) => {
      await ask('highlight', [code, language, into], '');
    }
  };
}

/** Returns what the deed returned, `nothing` for a deed that returns nothing, undefined where nobody did it. */
async function ask(deed: keyof Actions, values: unknown[], nothing?: string): Promise<unknown> {
  const wanted: Wanted = { deed, values };
  const done = !document.dispatchEvent(new CustomEvent(EVENT, { detail: wanted, cancelable: true }));
  return done ? ((await wanted.outcome) ?? nothing) : undefined;
}
