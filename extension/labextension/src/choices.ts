/** The person's settings, as fields of a question. */

import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { AdapterUse, Question } from '../../parts/src';

/** As `schema/plugin.json` describes them. */
export interface Choices {
  model: string;
  adapters: string[];
  passages: number;
  maxTokens: number;
  outputs: boolean;
  statusBar: boolean;
}

export const DEFAULTS: Choices = {
  model: 'auto',
  adapters: [],
  passages: 6,
  maxTokens: 320,
  outputs: true,
  statusBar: true
};

/** Returns the settings as they are now. */
export function readChoices(settings: ISettingRegistry.ISettings | null): Choices {
  return { ...DEFAULTS, ...(settings?.composite as Partial<Choices> | undefined) };
}

/** Returns the fields of a question that the settings decide; no adapters means those that act by default. */
export function asFields(choices: Choices): Partial<Question> {
  return {
    model: choices.model,
    k: choices.passages,
    max_tokens: choices.maxTokens,
    ...(choices.adapters.length > 0 ? { adapters: choices.adapters.map(parseAdapter) } : {})
  };
}

/** Returns `name:0.5` as a name and a scale; a name alone acts as trained. */
export function parseAdapter(typed: string): AdapterUse {
  const parted = /^(.*):(-?\d+(?:\.\d+)?)$/.exec(typed.trim());
  return parted?.[1] ? { name: parted[1], scale: Number(parted[2]) } : { name: typed.trim(), scale: 1 };
}
