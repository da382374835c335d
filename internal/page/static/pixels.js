// Pictures on canvases.

/** Returns a color of the style sheet as [r, g, b]. */
export function color(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const v = parseInt(text.slice(1), 16);
  return [v >> 16, (v >> 8) & 255, v & 255];
}

export const css = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;

export const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));

/** Draws bytes of shape (height, width, channels) on a canvas, with an empty margin. */
export function show(canvas, bytes, { height, width, channels }, margin = 0) {
  canvas.width = width + 2 * margin;
  canvas.height = height + 2 * margin;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[channels === 1 ? i : channels * i + c];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, margin, margin);
}

/** Makes a canvas as sharp as the screen. Returns its context, in units of CSS pixels, and its size. */
export function sharp(canvas, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const width = canvas.clientWidth;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width };
}

/** Creates an element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in e) e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}
