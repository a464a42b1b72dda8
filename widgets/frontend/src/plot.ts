/** Drawings in SVG, in the page's colours: curves over steps, and figures with their intervals. */

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 640;
const HEIGHT = 180;
const LEFT = 44;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 22;

export type Point = [x: number, y: number];

/** A line of a drawing; `shape` is a class of the style sheet, which gives it its colour and its dashes. */
export interface Curve {
  name: string;
  shape: string;
  points: Point[];
}

/** Draws curves over one another, from 0 to `xMost` and from 0 to the highest value; `name` is read aloud. */
export function drawCurves(name: string, curves: Curve[], xMost: number): SVGElement {
  const drawn = curves.filter(curve => curve.points.length > 0);
  const last = drawn.map(curve => `${curve.name} ${short(curve.points.at(-1)?.[1] ?? 0)}`).join(', ');
  const svg = svgElement('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    class: 'lb-plot',
    role: 'img',
    'aria-label': `${name}: ${last || 'nothing yet'}`
  });
  const top = Math.max(1e-9, ...drawn.flatMap(curve => curve.points.map(([, y]) => y)));
  const x = (value: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * value) / Math.max(1, xMost);
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  svg.append(...frame(top, xMost, x, y));
  drawn.forEach(curve => svg.append(...drawCurve(curve, x, y)));
  return svg;
}

type Scale = (value: number) => number;

function frame(top: number, xMost: number, x: Scale, y: Scale): SVGElement[] {
  const lines = [0, 0.5, 1].map(part =>
    svgElement('line', { x1: x(0), x2: x(xMost), y1: y(part * top), y2: y(part * top), class: 'lb-grid' })
  );
  const labels = [0, 0.5, 1].map(part => label(LEFT - 6, y(part * top) + 4, short(part * top), 'end'));
  return [...lines, ...labels, label(x(0), HEIGHT - 5, '0', 'start'), label(x(xMost), HEIGHT - 5, `${xMost}`, 'end')];
}

function drawCurve({ points, shape }: Curve, x: Scale, y: Scale): SVGElement[] {
  const path = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const [step, value] = points.at(-1) as Point;
  return [
    svgElement('polyline', { points: path, class: `lb-curve ${shape}` }),
    svgElement('circle', { cx: x(step), cy: y(value), r: 3, class: `lb-dot ${shape}` })
  ];
}

/** Draws a value on a line from `low` to `high`, with its interval where there is one. */
export function drawInterval(value: number, interval: [number, number] | null, low: number, high: number): SVGElement {
  const svg = svgElement('svg', { viewBox: '0 0 120 14', class: 'lb-interval', 'aria-hidden': 'true' });
  const x = (at: number): number => 4 + (112 * (clamp(at, low, high) - low)) / Math.max(1e-9, high - low);
  svg.append(svgElement('line', { x1: 4, x2: 116, y1: 7, y2: 7, class: 'lb-grid' }));
  if (interval) {
    svg.append(svgElement('line', { x1: x(interval[0]), x2: x(interval[1]), y1: 7, y2: 7, class: 'lb-whisker' }));
  }
  svg.append(svgElement('circle', { cx: x(value), cy: 7, r: 3.5, class: 'lb-dot' }));
  return svg;
}

/** Returns a number as it is read: 3 figures. */
export function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

function label(x: number, y: number, text: string, anchor: string): SVGElement {
  const element = svgElement('text', { x, y, 'text-anchor': anchor, class: 'lb-tick' });
  element.textContent = text;
  return element;
}

function svgElement(tag: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, String(value)));
  return element;
}
