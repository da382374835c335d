// A lane: the decision with one way of drawing spikes.
import { Chart, margin, percent } from './chart.js';
import { drawDots, meaning } from './dots.js';
import { element, show } from './pixels.js';

const titles = { low_discrepancy: 'Evenly spread spikes', iid: 'Independent spikes' };

export class Lane {
  /**
   * order has the classes with a color. own says that the network has its own number of spikes. seek(frame) is called
   * when somebody points at the chart.
   */
  constructor(response, index, model, order, own, seek) {
    Object.assign(this, { response, model, order, lane: response.lanes[index] });
    this.threshold = (own && response.stages?.[response.stage - 1]?.threshold) || 0;
    const id = `lane-${index}`;
    const view = (area, title, ...children) => element('div', { className: `view ${area}` }, element('h3', {}, title), ...children);
    this.dots = element('canvas', { className: 'pixels', role: 'img' });
    this.sees = element('canvas', { className: 'pixels', role: 'img' });
    this.dotsText = element('p');
    this.bars = this.#bars();
    this.winner = element('b');
    this.sure = element('span');
    this.grid = element('div', { className: 'views' });
    this.root = element('section', { className: 'panel lane', id, 'aria-label': titles[this.lane.sampler] });
    if (response.lanes.length > 1) this.root.append(element('h2', {}, titles[this.lane.sampler]));
    this.root.append(this.grid);
    if (this.lane.dots) this.grid.append(view('spikes', 'Its spikes', this.dots, this.dotsText));
    if (this.lane.sees) this.grid.append(view('sees', 'What the network sees', this.sees, element('p', {}, 'rebuilt from the activities of its first layer, W·h')));
    this.grid.append(view('answer', 'Its belief', element('div', { className: this.model.classes.some((c) => c.length > 4) ? 'verdict long' : 'verdict' }, this.winner, this.sure)));
    if (response.spikes.length > 1) {
      const canvas = element('canvas', { role: 'img' });
      this.chart = new Chart(canvas, seek);
      const legend = this.threshold ? [element('p', {}, `Dotted: the margin, and the ${percent(this.threshold)} that it must reach to end at this stage.`)] : [];
      this.grid.append(view('chart', 'How the decision grows', canvas, ...legend));
    }
    this.grid.append(this.bars.list);
    this.note = element('p', { className: 'note' });
    this.grid.append(this.note);
  }

  #bars() {
    const named = this.model.classes.some((c) => c.length > 2);
    const list = element('ul', { className: named ? 'bars named' : 'bars', 'aria-label': 'Belief in each class' });
    const rows = this.#rows().map((k) => {
      const name = this.model.classes[k];
      const bar = element('span', { className: 'bar' }), value = element('span', { className: 'value' });
      const place = this.order.indexOf(k);
      if (place >= 0) bar.style.background = `var(--class-${place})`;
      const label = element('span', {}, name);
      if (place >= 0) label.style.borderColor = `var(--class-${place})`;
      const row = element('li', {}, label, element('span', { className: 'track' }, bar), value);
      list.append(row);
      return { k, row, bar, value };
    });
    return { list, rows };
  }

  /** Returns the classes with a bar: all, or those that stand out if there are many. */
  #rows() {
    const all = this.model.classes.map((_, k) => k);
    if (all.length <= 12) return all;
    const last = this.lane.probabilities.at(-1);
    const best = [...all].sort((a, b) => last[b] - last[a]);
    return [...new Set([...this.order, ...best])].slice(0, 10).sort((a, b) => a - b);
  }

  /** Returns the belief in a frame: the best class and its probability. */
  best(frame) {
    const p = this.lane.probabilities[frame];
    const k = p.indexOf(Math.max(...p));
    return { name: this.model.classes[k], probability: p[k], class: k };
  }

  draw(frame) {
    const { response, model, lane } = this;
    const p = lane.probabilities[frame], best = this.best(frame);
    this.winner.textContent = best.name;
    this.sure.textContent = percent(best.probability);
    this.bars.rows.forEach(({ k, row, bar, value }) => {
      bar.style.width = `${p[k] * 100}%`;
      value.textContent = `${Math.round(p[k] * 100)}%`;
      row.classList.toggle('first', k === best.class);
    });
    const inner = { height: model.height - 2 * response.crop, width: model.width - 2 * response.crop, channels: model.channels };
    const size = inner.height * inner.width;
    if (lane.dots) {
      const each = drawDots(this.dots, lane, frame, response, model);
      const n = lane.drawn[frame].toLocaleString('en');
      this.dotsText.textContent = `${n} in the first layer${each > 1 ? `, a dot for every ${each}` : ''}. ${meaning(response)}`;
      this.dots.setAttribute('aria-label', `${n} spikes of the first layer as dots in the picture`);
    }
    if (lane.sees) {
      const bytes = size * model.channels;
      show(this.sees, lane.sees.subarray(frame * bytes, (frame + 1) * bytes), inner, response.crop);
      this.sees.setAttribute('aria-label', 'The picture as the first layer describes it');
    }
    this.chart?.draw(lane, response.spikes, frame, model.classes, this.order, this.threshold);
    this.#explain(frame);
  }

  #explain(frame) {
    const { lane, response, model } = this;
    const p = lane.probabilities.at(-1);
    const end = this.best(response.spikes.length - 1);
    const second = p.map((_, k) => k).sort((a, b) => p[b] - p[a])[1];
    const parts = [element('b', {}, `${response.spikes.length > 1 ? 'In the end: ' : ''}${end.name}, ${percent(end.probability)}.`)];
    if (second !== undefined) parts.push(` Its lead over ${model.classes[second]}, the margin, is ${percent(margin(p))}.`);
    if (lane.updates) parts.push(` That took ${lane.updates.toLocaleString('en')} spike updates.`);
    if (response.stages) parts.push(this.#stages());
    this.note.replaceChildren(...parts);
  }

  /** Says at which stage the picture leaves the model as it is, and why. */
  #stages() {
    const { stages } = this.response, last = stages.at(-1), count = this.model.stages.length;
    const number = stages.length;
    const why = number < count || last.threshold > 0
      ? `its margin there, ${pair(last, 'reaches')} that the stage asks for`
      : `its margin in the stage before, ${pair(stages[number - 2], 'is below')} that this stage asks for`;
    return ` With its own settings, this picture leaves the network at stage ${number} of ${count}: ${why}.`;
  }
}

/** Returns a margin and the threshold of its stage, with as many digits as they need to differ. */
function pair({ margin: m, threshold }, verb) {
  let [a, b] = [percent(m), percent(threshold)];
  for (let digits = 1; a === b && digits < 5; digits++) [a, b] = [m, threshold].map((v) => `${(100 * v).toFixed(digits)}%`);
  return `${a}, ${verb} the ${b}`;
}
