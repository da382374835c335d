// The activities of a layer: one small map per neuron.
import { color, mix } from './pixels.js';

/** Maps of a layer in a canvas. chosen(neuron) is called when somebody selects a neuron. */
export class Maps {
  constructor(canvas, chosen) {
    Object.assign(this, { canvas, neuron: 0 });
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'img');
    canvas.addEventListener('click', (e) => {
      const r = canvas.getBoundingClientRect();
      const column = Math.floor((e.clientX - r.left) / this.pitch), row = Math.floor((e.clientY - r.top) / this.pitchY);
      const n = row * this.columns + column;
      if (column < this.columns && n < this.layer.neurons) chosen(n);
    });
    canvas.addEventListener('keydown', (e) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[e.key];
      if (!step) return;
      e.preventDefault();
      const n = this.neuron + step;
      if (n >= 0 && n < this.layer.neurons) chosen(n);
    });
  }

  draw(layer, frame) {
    this.layer = layer;
    const { canvas } = this;
    const { neurons, height, width, h } = layer;
    const size = height * width, per = neurons * size;
    const room = canvas.clientWidth;
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    // The side of a map in CSS pixels. A value takes whole pixels of the screen, so that maps are sharp.
    const side = size === 1 ? 24 : neurons > 128 ? 28 : 36;
    const scale = Math.max(1, Math.round((Math.max(side, width) * ratio) / width));
    const gap = Math.round(4 * ratio);
    const pitch = scale * width + gap, pitchY = scale * height + gap;
    const columns = Math.max(1, Math.min(neurons, Math.floor((room * ratio) / pitch)));
    const rows = Math.ceil(neurons / columns);
    canvas.width = Math.round(room * ratio);
    canvas.height = rows * pitchY;
    canvas.style.height = `${canvas.height / ratio}px`;
    Object.assign(this, { columns, pitch: pitch / ratio, pitchY: pitchY / ratio });
    const context = canvas.getContext('2d');
    const [low, high, ring] = [color('well'), color('accent'), color('text')];
    const peak = Math.max(...layer.most, 1e-9);
    const shades = Array.from({ length: 256 }, (_, q) => mix(low, high, Math.pow((q / 255) * (layer.most[frame] / peak), 0.6)));
    const image = context.createImageData(canvas.width, canvas.height);
    for (let n = 0; n < neurons; n++) {
      const left = (n % columns) * pitch + 2, top = Math.floor(n / columns) * pitchY + 2;
      if (n === this.neuron) outline(image, left - 1, top - 1, scale * width + 2, scale * height + 2, ring);
      for (let y = 0; y < scale * height; y++) {
        for (let x = 0; x < scale * width; x++) {
          const q = h[frame * per + n * size + Math.floor(y / scale) * width + Math.floor(x / scale)];
          put(image, left + x, top + y, shades[q]);
        }
      }
    }
    context.putImageData(image, 0, 0);
  }
}

function put(image, x, y, [r, g, b]) {
  if (x < 0 || x >= image.width || y < 0 || y >= image.height) return;
  const i = 4 * (y * image.width + x);
  image.data[i] = r; image.data[i + 1] = g; image.data[i + 2] = b; image.data[i + 3] = 255;
}

function outline(image, left, top, width, height, tone) {
  for (let k = -1; k < 1; k++) {
    for (let x = left + k; x < left + width - k; x++) { put(image, x, top + k, tone); put(image, x, top + height - 1 - k, tone); }
    for (let y = top + k; y < top + height - k; y++) { put(image, left + k, y, tone); put(image, left + width - 1 - k, y, tone); }
  }
}

/** Returns the neuron with the largest sum of h over all positions in the last frame. */
export function strongest(layer) {
  const size = layer.height * layer.width, per = layer.neurons * size, from = layer.h.length - per;
  let best = 0, most = -1;
  for (let n = 0; n < layer.neurons; n++) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += layer.h[from + n * size + i];
    if (sum > most) [best, most] = [n, sum];
  }
  return best;
}
