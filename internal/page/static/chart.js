// The belief in each class over the number of spikes.
import { color, css, sharp } from './pixels.js';

const height = 230;
const edge = { left: 42, right: 14, top: 18, bottom: 34 };
export const font = '12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif';

/** Returns the classes that stand out, at most five: those with the highest belief at any time, the winner of the first lane first. */
export function leaders(lanes) {
  const last = lanes[0].probabilities.at(-1);
  const peak = last.map((_, k) => Math.max(...lanes.flatMap((l) => l.probabilities).map((p) => p[k])));
  const order = last.map((_, k) => k).sort((a, b) => last[b] - last[a] || peak[b] - peak[a]);
  const rest = order.slice(1).filter((k) => peak[k] >= 0.12).sort((a, b) => peak[b] - peak[a]);
  return [order[0], ...rest].slice(0, 5);
}

const dashes = [[], [7, 3], [2, 3], [9, 3, 2, 3], [5, 5]];

export function margin(p) {
  const [a, b = 0] = [...p].sort((x, y) => y - x);
  return a - b;
}

/** A chart in a canvas. seek(frame) is called when somebody points at a frame. */
export class Chart {
  constructor(canvas, seek) {
    this.canvas = canvas;
    const point = (e) => {
      if (!this.spikes || (e.type === 'pointermove' && e.buttons !== 1)) return;
      const x = e.clientX - canvas.getBoundingClientRect().left;
      let best = 0;
      this.spikes.forEach((_, i) => { if (Math.abs(this.x(i) - x) < Math.abs(this.x(best) - x)) best = i; });
      seek(best);
    };
    canvas.addEventListener('pointerdown', point);
    canvas.addEventListener('pointermove', point);
  }

  x(i) {
    const last = Math.log(this.spikes.at(-1)) || 1;
    return edge.left + (Math.log(Math.max(1, this.spikes[i])) / last) * (this.width - edge.left - edge.right);
  }

  draw(lane, spikes, frame, classes, order, threshold) {
    const { context: c, width } = sharp(this.canvas, height);
    Object.assign(this, { spikes, width });
    const y = (p) => edge.top + (1 - p) * (height - edge.top - edge.bottom);
    const text = css(color('text')), muted = css(color('muted')), line = css(color('line'));
    c.font = font;
    c.lineJoin = 'round';
    this.#axes(c, y, muted, line);
    const until = (values) => values.slice(0, frame + 1).map((v, i) => [this.x(i), y(v)]);
    const all = (values) => values.map((v, i) => [this.x(i), y(v)]);
    const others = classes.map((_, k) => k).filter((k) => !order.includes(k));
    [...others, ...[...order].reverse()].forEach((k) => { // the winner above the others
      const place = order.indexOf(k);
      const values = lane.probabilities.map((p) => p[k]);
      const tone = place < 0 ? color('muted') : color(`class-${place}`);
      c.setLineDash(place < 0 ? [] : dashes[place]);
      c.lineWidth = place < 0 ? 1 : place === 0 ? 3 : 2;
      c.strokeStyle = css(tone, place < 0 ? 0.14 : 0.22);
      path(c, all(values));
      c.strokeStyle = css(tone, place < 0 ? 0.45 : 1);
      path(c, until(values));
    });
    if (threshold > 0) {
      c.strokeStyle = text;
      c.lineWidth = 1;
      c.setLineDash([1, 3]);
      path(c, [[edge.left, y(threshold)], [width - edge.right, y(threshold)]]);
      path(c, until(lane.probabilities.map(margin)));
    }
    c.setLineDash([]);
    c.strokeStyle = text;
    c.lineWidth = 1;
    path(c, [[this.x(frame), edge.top], [this.x(frame), height - edge.bottom]]);
    order.forEach((k, place) => {
      c.fillStyle = css(color(`class-${place}`));
      c.beginPath();
      c.arc(this.x(frame), y(lane.probabilities[frame][k]), place ? 3.5 : 5, 0, 7);
      c.fill();
    });
    this.#labels(c, lane, frame, classes, order, y);
    this.#describe(lane, spikes, classes, order);
  }

  #axes(c, y, muted, line) {
    c.fillStyle = muted;
    c.strokeStyle = line;
    c.lineWidth = 1;
    c.setLineDash([]);
    c.textAlign = 'right';
    for (const p of [0, 0.5, 1]) {
      path(c, [[edge.left, y(p)], [this.width - edge.right, y(p)]]);
      c.fillText(`${p * 100}%`, edge.left - 6, y(p) + 4);
    }
    const last = this.spikes.at(-1), scale = (this.width - edge.left - edge.right) / (Math.log(last) || 1);
    c.textAlign = 'center';
    const wide = this.width > 420;
    for (let power = 1; power <= last; power *= 10) {
      for (const m of wide ? [1, 2, 5] : [1]) {
        const t = m * power, x = edge.left + Math.log(t) * scale;
        if (t >= last || this.width - edge.right - x < 26) continue;
        c.fillText(t, x, height - edge.bottom + 15);
      }
    }
    c.fillText(last, this.width - edge.right - 4, height - edge.bottom + 15);
    c.fillText('spikes per position', edge.left + (this.width - edge.left - edge.right) / 2, height - 3);
  }

  /** Writes the names of the classes beside the dots, the higher ones first, without overlap. */
  #labels(c, lane, frame, classes, order, y) {
    const right = this.x(frame) > this.width - 110;
    c.textAlign = right ? 'right' : 'left';
    c.lineWidth = 4;
    c.strokeStyle = css(color('panel'));
    let free = edge.top - 6;
    const shown = order.filter((k) => lane.probabilities[frame][k] >= 0.06).sort((a, b) => lane.probabilities[frame][b] - lane.probabilities[frame][a]);
    for (const k of shown) {
      const at = Math.max(free, y(lane.probabilities[frame][k]) + (right ? -8 : 4));
      const x = this.x(frame) + (right ? -8 : 10);
      c.fillStyle = css(color('text'));
      c.strokeText(classes[k], x, at);
      c.fillText(classes[k], x, at);
      free = at + 14;
    }
  }

  #describe(lane, spikes, classes, order) {
    const best = lane.probabilities.map((p) => p.indexOf(Math.max(...p)));
    const winner = best.at(-1);
    let first = best.length - 1;
    while (first > 0 && best[first - 1] === winner) first--;
    const p = lane.probabilities.at(-1);
    const others = order.filter((k) => k !== winner).map((k) => `${classes[k]} ${percent(p[k])}`).join(', ');
    this.canvas.setAttribute('aria-label', `Belief in each class over the number of spikes. In the end: ${classes[winner]} ${percent(p[winner])}` +
      `${others ? `, ${others}` : ''}. ${classes[winner]} leads from ${spikes[first]} ${spikes[first] === 1 ? 'spike' : 'spikes'} per position on.`);
  }
}

function path(c, points) {
  c.beginPath();
  points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.stroke();
}

export function percent(p) {
  if (p > 0.995 && p < 0.99995) return `${Math.min(99.99, p * 100).toFixed(2).replace(/0$/, '')}%`;
  return `${Math.round(p * 100)}%`;
}
