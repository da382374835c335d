// The drawing area, and the preparation of drawings as those of the data sets.

const side = 280; // the longer one of the drawing in its own pixels
const pen = 11; // radius of the pen

/** Lets people draw on a canvas, with the pointer or the keys. began() is called before each stroke, and changed(ink) after it. */
export class Pad {
  /** cursor is an element that shows where the keys have moved the pen. */
  constructor(canvas, cursor, changed, began) {
    Object.assign(this, { canvas, cursor, changed, began, down: false, light: false });
    this.context = canvas.getContext('2d', { willReadFrequently: true });
    this.shape(1, 1);
    canvas.addEventListener('pointerdown', (e) => this.#press(e));
    canvas.addEventListener('pointermove', (e) => this.#move(e));
    for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => this.#release());
    canvas.addEventListener('keydown', (e) => this.#keyDown(e));
    canvas.addEventListener('blur', () => { if (this.key.down) this.#lift(); });
  }

  /** Empties the drawing and gives it the shape of pictures of a size. */
  shape(height, width) {
    const scale = side / Math.max(height, width);
    Object.assign(this.canvas, { width: Math.round(scale * width), height: Math.round(scale * height) });
    this.key = { x: this.canvas.width / 2, y: this.canvas.height / 2, down: false };
  }

  clear() { this.context.clearRect(0, 0, this.canvas.width, this.canvas.height); }

  /** Hides the drawing, so that the picture below is seen, until the next stroke. */
  hide(hidden) { this.canvas.classList.toggle('faded', hidden); }

  #place(e) {
    const r = this.canvas.getBoundingClientRect();
    return { x: ((e.clientX - r.left) / r.width) * this.canvas.width, y: ((e.clientY - r.top) / r.height) * this.canvas.height };
  }

  #start(at) {
    this.began();
    this.hide(false);
    this.last = at;
    this.#line(at);
  }

  #line(to) {
    const c = this.context;
    c.strokeStyle = c.fillStyle = this.light ? '#000' : '#fff';
    c.lineWidth = 2 * pen;
    c.lineCap = c.lineJoin = 'round';
    c.beginPath();
    c.moveTo(this.last.x, this.last.y);
    c.lineTo(to.x + 0.01, to.y);
    c.stroke();
    this.last = to;
  }

  #press(e) {
    if (e.button !== 0) return;
    this.canvas.setPointerCapture(e.pointerId);
    this.down = true;
    this.#start(this.#place(e));
  }

  #move(e) {
    if (!this.down) return;
    for (const part of e.getCoalescedEvents?.().length ? e.getCoalescedEvents() : [e]) this.#line(this.#place(part));
  }

  #release() {
    if (!this.down) return;
    this.down = false;
    this.changed(this.gray());
  }

  #keyDown(e) {
    const step = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }[e.key];
    if (e.key === ' ') {
      if (this.key.down) this.#lift();
      else {
        this.key.down = true;
        this.#start({ x: this.key.x, y: this.key.y });
      }
    } else if (step) {
      this.key.x = Math.min(this.canvas.width - pen, Math.max(pen, this.key.x + step[0]));
      this.key.y = Math.min(this.canvas.height - pen, Math.max(pen, this.key.y + step[1]));
      if (this.key.down) this.#line({ x: this.key.x, y: this.key.y });
    } else return;
    this.cursor.style.left = `${(this.key.x / this.canvas.width) * 100}%`;
    this.cursor.style.top = `${(this.key.y / this.canvas.height) * 100}%`;
    e.preventDefault();
  }

  /** Ends a stroke of the keys. */
  #lift() {
    this.key.down = false;
    this.changed(this.gray());
  }

  /** Returns the ink of the drawing, rows of values from 0 to 1. */
  gray() {
    const { data, width, height } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const row = (i) => Float32Array.from({ length: width }, (_, j) => data[4 * (i * width + j) + 3] / 255);
    return Array.from({ length: height }, (_, i) => row(i));
  }
}

/**
 * Returns a drawing, rows of ink, as a picture of the given size, as bytes, or null if it is blank. A digit becomes like
 * those of MNIST: scaled to fit 20 of 28 pixels, with its center of mass in the middle. Other drawings fill the picture.
 */
export function prepare(ink, height, width, digit) {
  let [top, left, bottom, right] = [side, side, -1, -1];
  let mass = 0, my = 0, mx = 0;
  ink.forEach((row, y) => row.forEach((v, x) => {
    mass += v; my += v * (y + 0.5); mx += v * (x + 0.5);
    if (v < 0.1) return;
    top = Math.min(top, y); bottom = Math.max(bottom, y);
    left = Math.min(left, x); right = Math.max(right, x);
  }));
  if (bottom < 0) return null;
  // Pixels of the picture per pixel of the drawing:
  const scale = Math.min(height / (bottom - top + 1), width / (right - left + 1)) * (digit ? 20 / 28 : 1);
  const [cy, cx] = digit ? [my / mass, mx / mass] : [(top + bottom + 1) / 2, (left + right + 1) / 2];
  const out = new Float32Array(height * width);
  // Every pixel of the picture is the mean of its area of the drawing.
  for (let i = top; i <= bottom; i++) {
    for (let j = left; j <= right; j++) {
      const v = ink[i][j];
      if (v) spread(out, height, width, (i - cy) * scale + height / 2, (j - cx) * scale + width / 2, scale, v);
    }
  }
  return Uint8Array.from(out, (v) => Math.round(Math.min(1, v) * 255));
}

/** Adds a square of the given side, with its corner at y and x, to the pixels that it covers. */
function spread(out, height, width, y, x, size, v) {
  for (let i = Math.floor(y); i < y + size; i++) {
    const h = Math.min(i + 1, y + size) - Math.max(i, y);
    for (let j = Math.floor(x); j < x + size; j++) {
      const w = Math.min(j + 1, x + size) - Math.max(j, x);
      if (i >= 0 && i < height && j >= 0 && j < width && h > 0 && w > 0) out[i * width + j] += v * h * w;
    }
  }
}
