// The layers of the network with the activities of their neurons.
import * as api from './api.js';
import { Maps, strongest } from './maps.js';
import { element, show } from './pixels.js';

const titles = { low_discrepancy: 'evenly spread', iid: 'independent' };

export class Layers {
  constructor(root, section) {
    Object.assign(this, { root, section, rows: [], key: '' });
  }

  /** Shows the layers of an answer. The chosen neurons stay if the network is the same. */
  use(response, model, stage) {
    const visible = response.lanes[0].layers.map((_, i) => i).filter((i) => response.lanes.every((l) => l.layers[i].h));
    const key = JSON.stringify([model.name, stage]);
    const chosen = key === this.key ? this.rows.map((r) => r.neuron) : [];
    for (const r of this.rows) r.task?.abort();
    Object.assign(this, { key, model, stage, frame: undefined }); // draw follows, with a frame of this answer
    this.section.hidden = visible.length === 0;
    this.rows = visible.map((i, row) => this.#row(response, i, chosen[row]));
    this.root.replaceChildren(...this.rows.map((r) => r.root));
    for (const r of this.rows) this.#choose(r, r.neuron);
  }

  #row(response, index, neuron) {
    const first = response.lanes[0].layers[index];
    const number = index + 1;
    const grid = first.height * first.width;
    const where = grid > 1 ? `${first.neurons} neurons at each of ${first.height} × ${first.width} positions` : `${first.neurons} neurons`;
    const last = grid === 1 && first.neurons === this.model.classes.length && index === response.lanes[0].layers.length - 1;
    const r = { layer: first.layer, neuron: neuron ?? strongest(first), neurons: first.neurons, names: last ? this.model.classes : null };
    r.input = element('input', { type: 'number', min: 0, max: first.neurons - 1, step: 1, id: `neuron-${index}`, 'aria-label': `Neuron of layer ${number}` });
    r.input.addEventListener('change', () => {
      const n = Math.round(Number(r.input.value));
      this.#choose(r, Math.min(first.neurons - 1, Math.max(0, Number.isFinite(n) ? n : 0)));
    });
    r.weights = element('canvas', { role: 'img', width: 8, height: 8 });
    r.text = element('span');
    r.maps = [];
    const figures = response.lanes.map((lane) => {
      const canvas = element('canvas');
      const maps = new Maps(canvas, (n) => this.#choose(r, n));
      const layer = lane.layers[index];
      canvas.setAttribute('aria-label', `Activities h of layer ${number}: ${where}. The arrow keys choose a neuron.`);
      r.maps.push({ maps, layer });
      const figure = element('figure', {}, canvas);
      if (response.lanes.length > 1) figure.prepend(element('figcaption', {}, titles[lane.sampler]));
      return figure;
    });
    const title = element('h3', {}, `Layer ${number} `, element('span', {}, `${where}${last ? ', one for each class: this is the answer' : ''}`));
    const label = element('label', {}, 'Neuron', r.input);
    r.root = element('div', { className: 'layer' }, title, element('div', { className: first.neurons > 300 ? 'maps many' : 'maps' }, ...figures),
      element('div', { className: 'neuron' }, label, r.weights, r.text));
    return r;
  }

  async #choose(r, neuron) {
    r.neuron = neuron;
    r.input.value = neuron;
    for (const { maps } of r.maps) maps.neuron = neuron;
    if (this.frame !== undefined) this.#drawRow(r);
    const name = r.names ? ` (${r.names[neuron]})` : '';
    r.task?.abort();
    const { signal } = r.task = new AbortController();
    try {
      const w = await api.weights(this.model.name, this.stage, r.layer, neuron, signal);
      show(r.weights, w.pixels, w);
      r.weights.hidden = false;
      r.weights.setAttribute('aria-label', `Weights of neuron ${neuron}${name}`);
      const others = r.layer === this.rows[0].layer ? '' : ', more than the others do';
      r.text.textContent = `its weights W: the pattern that neuron ${neuron}${name} looks for in ${w.height} × ${w.width} pixels${others}`;
    } catch (e) {
      if (e.name === 'AbortError') return;
      r.weights.hidden = true;
      r.text.textContent = e.message;
    }
  }

  #drawRow(r) {
    for (const { maps, layer } of r.maps) maps.draw(layer, this.frame);
  }

  draw(frame) {
    this.frame = frame;
    for (const r of this.rows) this.#drawRow(r);
  }
}
