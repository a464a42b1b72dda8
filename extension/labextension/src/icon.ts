/** lorebook's mark: an open book with a ribbon, in the colours of JupyterLab's own icons. */

import { LabIcon } from '@jupyterlab/ui-components';

const LEFT =
  'M11.3 6.2C9.3 4.9 6.6 4.4 3 4.5v13.2c3.6-.1 6.3.4 8.3 1.7zM9.9 8v8.8c-1.5-.5-3.3-.8-5.5-.8V6c2.2.1 4.1.7 5.5 2z';
const RIGHT =
  'M12.7 6.2c2-1.3 4.7-1.8 8.3-1.7v13.2c-3.6-.1-6.3.4-8.3 1.7zm4-.3v6l1.5-1.2 1.5 1.2V5.8a11 11 0 0 0-3 .1z';
const PATH = `<path fill-rule="evenodd" d="${LEFT}"/><path fill-rule="evenodd" d="${RIGHT}"/>`;
const SHAPE =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">' +
  `<g class="jp-icon3" fill="#616161">${PATH}</g></svg>`;

export const bookIcon = new LabIcon({ name: 'lorebook:book', svgstr: SHAPE });

const CAP = 'M12 4 2 9l10 5 8-4v5h1.5V9zM6 12.6V16c0 1.4 2.7 3 6 3s6-1.6 6-3v-3.4l-6 3z';
const CAP_SHAPE =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">' +
  `<path class="jp-icon3" fill="#616161" d="${CAP}"/></svg>`;

/** Teaching: the cap of those who have learnt. */
export const capIcon = new LabIcon({ name: 'lorebook:cap', svgstr: CAP_SHAPE });
