/**
 * The icons: strokes on a grid of 24, in the colour of the text around them.
 */

const PATHS = {
  logo: 'M5 5.5h14a2 2 0 0 1 2 2v7.5a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7.5a2 2 0 0 1 2-2z'
    + 'M8 9.6h8M8 13h4.5',
  plus: 'M12 5v14M5 12h14',
  send: 'M12 19V5M5.5 11.5 12 5l6.5 6.5',
  back: 'M14.5 5.5 8 12l6.5 6.5',
  people: 'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5a6.5 6.5 0 0 1 13 0'
    + 'M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.3',
  invite: 'M10 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3.5 19.5a6.5 6.5 0 0 1 13 0'
    + 'M19 8v6M16 11h6',
  more: 'M5 11.2h.9v1.6H5zM11.6 11.2h.9v1.6h-.9zM18.2 11.2h.9v1.6h-.9z',
  edit: 'M4.5 19.5l.9-4L16 4.9a1.8 1.8 0 0 1 2.6 0l.5.5a1.8 1.8 0 0 1 0 2.6L8.5 18.6z',
  trash: 'M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 11v5M13.5 11v5',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  down: 'M12 5v14M5.5 12.5 12 19l6.5-6.5',
  leave: 'M13 5H6v14h7M10.5 12H20M16.5 8.5 20 12l-3.5 3.5',
  close: 'M6 6l12 12M18 6 6 18',
  retry: 'M19 12a7 7 0 1 1-2.2-5.1M19 4v4.2h-4.2',
  clock: 'M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 8v4.2l2.8 1.8',
  alert: 'M12 4 2.8 19.5h18.4zM12 10v4.2M12 16.8v.01',
  offline: 'M3 4l18 17M8 14.8a6 6 0 0 1 6.6-1.1M4.6 11.2A11 11 0 0 1 9 8.6'
    + 'M13 8.1a11 11 0 0 1 6.4 3.1M12 18.6v.01',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4.2 4.2 0 0 0-6-6l-1.2 1.2'
    + 'M14 10a4 4 0 0 0-6-.4l-3 3a4.2 4.2 0 0 0 6 6l1.2-1.2',
  file: 'M6 3.5h8l4 4v13H6zM14 3.5v4h4',
  settings: 'M3.5 7.5H12M17.5 7.5h3M14.7 10.2a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4z'
    + 'M3.5 16.5h3M12 16.5h8.5M9.3 19.2a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4z',
  spark: 'M12 3.5l1.9 5.6 5.6 1.9-5.6 1.9L12 18.5l-1.9-5.6L4.5 11l5.6-1.9zM19 16.5v4M17 18.5h4',
};

/** @typedef {keyof typeof PATHS} IconName */

/** @param {IconName} name */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}
