/** The folders that are asked about, and where their files are for JupyterLab. */

import { PageConfig } from '@jupyterlab/coreutils';

import { Failure, type Place } from '../../parts/src';

export class Workspace {
  /** `served` is the folder below which JupyterLab opens files, '' where it serves no folder; `roots` are absolute. */
  constructor(
    readonly served: string,
    readonly roots: string[]
  ) {}

  /** Returns the folders that Jupyter Server told the page. */
  static fromPage(): Workspace {
    const roots: unknown = JSON.parse(PageConfig.getOption('lorebookRoots') || '[]');
    return new Workspace(PageConfig.getOption('lorebookServed'), Array.isArray(roots) ? roots.map(String) : []);
  }

  /** A short name of what is asked about. */
  get name(): string {
    return this.roots.map(root => slashed(root).split('/').pop() || root).join(', ');
  }

  /** Returns the path that JupyterLab opens; throws a Failure for a file that Jupyter does not serve. */
  pathOf(place: Pick<Place, 'root' | 'path'>): string {
    const root = place.root || this.roots[0] || '';
    const file = `${slashed(root)}/${place.path}`;
    const below = `${slashed(this.served)}/`;
    if (!this.served || !file.startsWith(below)) {
      throw new Failure(`${file} lies outside of the folder that Jupyter serves.`, 'Start Jupyter in one above it.');
    }
    return file.slice(below.length);
  }

  /** Returns the absolute path of a file that JupyterLab has open; throws a Failure where Jupyter serves no folder. */
  fileOf(path: string): string {
    if (!this.served) {
      throw new Failure('Jupyter serves no folder here, so lorebook cannot read this notebook.');
    }
    return `${this.served.replace(/[/\\]+$/, '')}/${path}`;
  }

  /** Returns the path below the root that it lies in, '' where it lies in none: the opposite of `pathOf`. */
  insideRoot(path: string): string {
    return this.placeOf(path)?.path ?? '';
  }

  /** Returns the root that it lies in, and the path below that; null where it lies in none. */
  placeOf(path: string): { root: string; path: string } | null {
    const file = `${slashed(this.served)}/${path}`;
    const root = this.roots.find(one => file.startsWith(`${slashed(one)}/`));
    return root === undefined ? null : { root, path: file.slice(slashed(root).length + 1) };
  }
}

function slashed(path: string): string {
  const forward = /^[A-Za-z]:|^\\\\/.test(path) ? path.replace(/\\/g, '/') : path;
  return forward.replace(/\/+$/, '');
}
