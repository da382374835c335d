// The page: its state, its controls and the loop of the player.
import * as api from './api.js';
import { prepare, Pad } from './draw.js';
import { Lane } from './lane.js';
import { decode, encode } from './link.js';
import { leaders, percent } from './chart.js';
import { element, show } from './pixels.js';
import { Layers } from './layers.js';

const $ = (id) => document.getElementById(id);
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const frameTime = 130; // ms

let models = [];
let maxSpikes = 0, maxFile = 0;
let model; // the description of the chosen model
let tests = [];
let response, lanes = [], frame = 0;
let playing = 0; // the timer of the player
let task = new AbortController(); // of what people have asked for last
let loading; // of the pictures of the model on their way
let runTimer, rememberTimer;
const state = { model: '', stage: 0, spikes: 0, seed: 0, sampler: 'low_discrepancy', noise: '', level: 0, fit: true, at: null, pixels: null };

const layers = new Layers($('layers'), $('inside'));
const pad = new Pad($('ink'), $('pen'), drawn, () => { next(); $('hint').hidden = true; press(null); });

/** Ends what people have asked for before, so that its answer does not replace a newer one. */
function next() {
  task.abort();
  clearTimeout(runTimer);
  stop();
  task = new AbortController();
  return task;
}

const busy = (yes) => $('lanes').setAttribute('aria-busy', String(yes));

function fail(error) {
  if (error.name === 'AbortError') return;
  if (error instanceof api.TokenError) $('token').hidden = false;
  $('message').textContent = error.message;
  $('message').hidden = false;
}

const say = (text) => { $('status').textContent = text; };

// The picture

function drawn(ink) {
  const pixels = prepare(ink, model.height, model.width, model.digits);
  if (!pixels) return busy(false);
  if (model.light) pixels.forEach((v, i) => { pixels[i] = 255 - v; });
  Object.assign(state, { pixels, at: null });
  busy(true);
  runTimer = setTimeout(() => run({ play: true }), 350); // unless another stroke follows
}

/** Shows an empty picture. */
function blank() {
  pad.clear();
  press(null);
  $('hint').hidden = model.channels !== 1;
  show($('picture'), new Uint8Array(model.height * model.width * model.channels).fill(model.light ? 255 : 0), model);
}

function press(index) {
  [...$('tests').children].forEach((b, i) => b.setAttribute('aria-pressed', String(i === index)));
}

function chooseTest(i) {
  choose(tests[i].pixels);
  press(i);
}

function choose(pixels) {
  blank();
  show($('picture'), pixels, model);
  Object.assign(state, { pixels, at: null });
  run({ play: true });
}

$('clear').addEventListener('click', () => {
  next();
  busy(false);
  blank();
  pad.hide(false);
  $('ink').focus({ preventScroll: true });
});

$('open').addEventListener('click', () => $('file').click());
$('file').addEventListener('change', () => upload($('file').files[0]));
document.addEventListener('dragover', (e) => e.preventDefault());
document.addEventListener('drop', (e) => {
  e.preventDefault();
  upload(e.dataTransfer.files[0]);
});

async function upload(file) {
  if (!file || document.querySelector('main').inert) return;
  const { signal } = next();
  $('message').hidden = true;
  busy(true);
  try {
    if (file.size > maxFile) throw new Error(`This file is too large: a picture may have ${Math.floor(maxFile / 2 ** 20)} MB.`);
    choose(await api.upload(model.name, file, signal));
  } catch (e) {
    fail(e);
    if (!signal.aborted) busy(false);
  }
  $('file').value = '';
}

// The models and their settings

async function useModel(name) {
  next(); // the others are for another model
  clearTimeout(rememberTimer);
  loading?.abort();
  const mine = loading = new AbortController();
  const main = document.querySelector('main');
  main.inert = true; // until the page has the pictures of the model
  model = models.find((m) => m.name === name) ?? models[0];
  state.model = $('model').value = model.name;
  pad.light = model.light;
  pad.shape(model.height, model.width);
  $('pad').classList.toggle('light', model.light);
  pad.hide(true);
  blank();
  $('pad').classList.toggle('fixed', model.channels !== 1);
  $('clear').hidden = model.channels !== 1;
  tests = [];
  try {
    if (model.pictures) tests = await api.pictures(model.name, mine.signal);
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    fail(e);
  } finally {
    if (mine === loading) main.inert = false;
  }
  $('tests-title').hidden = tests.length === 0;
  $('source').hidden = !model.source;
  $('source').textContent = `The test pictures are from ${model.source}.`;
  $('tests').replaceChildren(...tests.map((t, i) => {
    const canvas = element('canvas');
    show(canvas, t.pixels, model);
    const b = element('button', {
      type: 'button', title: t.label, 'aria-label': `Test picture ${i + 1}${t.label ? `: ${t.label}` : ''}`, 'aria-pressed': 'false',
    }, canvas);
    b.addEventListener('click', () => chooseTest(i));
    return b;
  }));
  options($('noise'), [['', 'none'], ...model.noise.map((n) => [n.name, n.name])]);
  options($('stage'), [[0, 'where the picture leaves'], ...model.stages.map((s, i) => [i + 1, `${i + 1} of ${model.stages.length}: ${spikesText(s)}`])]);
  $('stage-field').hidden = model.stages.length < 2;
  for (const id of ['sampler', 'spikes']) $(id).closest('.field').hidden = !spiking();
  $('lead').hidden = !spiking();
  $('lead-plain').hidden = spiking();
  setSpikes();
}

const spiking = () => model.stages[0].layers.length > 0;

/** Returns how the network itself draws its spikes. */
const ownSampler = () => model.stages.at(-1).layers[0]?.sampler ?? 'low_discrepancy';

const spikesText = (stage) => `${stage.layers.map((l) => l.spikes).join(', ')} spikes`;

function setSpikes() {
  const list = [25, 50, 100, 200, 400, 800, 1600, 3200].filter((n) => n <= maxSpikes);
  if (state.spikes && !list.includes(state.spikes)) list.push(state.spikes);
  options($('spikes'), [[0, 'as in the model'], ...list.sort((a, b) => a - b).map((n) => [n, `${n} in every layer`])]);
}

function options(select, list) {
  select.replaceChildren(...list.map(([value, text]) => new Option(text, value)));
}

/** Sets the controls to the state. */
function showSettings() {
  setSpikes();
  for (const id of ['sampler', 'spikes', 'stage', 'seed', 'noise']) $(id).value = state[id];
  if ($('noise').selectedIndex < 0) state.noise = $('noise').value = '';
  if ($('sampler').selectedIndex < 0) state.sampler = $('sampler').value = 'low_discrepancy';
  if ($('stage').selectedIndex < 0) state.stage = $('stage').value = 0;
  $('fit').checked = state.fit;
  showNoise();
}

function showNoise() {
  const kind = model.noise.find((n) => n.name === state.noise);
  const slider = $('level');
  slider.disabled = !kind;
  if (!kind) {
    slider.value = slider.min;
    $('level-text').textContent = 'Make the picture harder.';
    return;
  }
  Object.assign(slider, { min: kind.least, max: kind.most, step: kind.step });
  slider.value = state.level;
  state.level = Number(slider.value);
  $('level-text').textContent = `${kind.level}: ${state.level}`;
}

for (const id of ['sampler', 'noise']) $(id).addEventListener('change', () => {
  state[id] = $(id).value;
  if (id === 'noise') {
    const kind = model.noise.find((n) => n.name === state.noise);
    state.level = kind ? Number((kind.most * (kind.name === 'rotation' ? 0.1 : 0.25)).toFixed(2)) : 0;
    showNoise();
  }
  run({});
});
for (const id of ['spikes', 'stage', 'seed']) $(id).addEventListener('change', () => {
  const v = Math.floor(Number($(id).value));
  state[id] = v >= 0 && v <= Number.MAX_SAFE_INTEGER ? v : 0;
  $(id).value = state[id];
  if (id !== 'seed') state.at = null;
  run({});
});
$('fit').addEventListener('change', () => { state.fit = $('fit').checked; run({}); });
$('dice').addEventListener('click', () => {
  state.seed = $('seed').value = Number(state.seed) + 1;
  run({});
});
$('level').addEventListener('input', () => {
  next();
  state.level = Number($('level').value);
  showNoise();
  busy(true);
  runTimer = setTimeout(() => run({}), 60);
});
$('model').addEventListener('change', async () => {
  $('message').hidden = true;
  busy(true);
  try {
    Object.assign(state, { stage: 0, at: null, noise: '', level: 0, spikes: 0, pixels: null });
    await useModel($('model').value);
    if (state.sampler !== 'both') state.sampler = ownSampler();
    showSettings();
    first();
  } catch (e) {
    fail(e);
    if (e.name !== 'AbortError') busy(false);
  }
});

/** Shows the first test picture that is not too easy, or asks for a picture if there are none. */
function first() {
  if (tests.length) return chooseTest(Math.max(0, tests.findIndex((t) => t.label === '3' || t.label === 'Dress')));
  next();
  state.pixels = response = null;
  lanes = [];
  const names = model.classes.slice(0, 20).join(', ') + (model.classes.length > 20 ? ` and ${model.classes.length - 20} more` : '');
  const empty = element('div', { className: 'panel empty' },
    element('p', {}, `${model.channels === 1 ? 'Draw something, or upload a picture.' : 'Upload a photo.'} The network tells these apart: ${names}.`));
  if (!model.pictures) empty.append(element('p', {}, 'To offer test pictures, start the server with ', element('code', {}, '--pictures FOLDER'), '.'));
  $('lanes').replaceChildren(empty);
  busy(false);
  $('slider').closest('section').hidden = $('inside').hidden = true;
  remember();
}

// The run

async function run({ play = false }) {
  const mine = next();
  busy(Boolean(state.pixels));
  if (!state.pixels) return;
  $('message').hidden = true;
  try {
    let samplers = state.sampler === 'both' ? ['low_discrepancy', 'iid'] : [state.sampler];
    if (!spiking()) samplers = ['low_discrepancy']; // all the same
    const noise = state.noise ? `${state.noise}=${state.level}` : '';
    const answer = await api.run({
      model: state.model, stage: state.stage, pixels: state.pixels, spikes: state.spikes, seed: state.seed, samplers, noise, fit: state.fit,
    }, mine.signal);
    const moving = play && !calm.matches && answer.spikes.length > 1;
    accept(answer, moving);
    await remember();
    if (mine !== task) return;
    if (moving) start();
    else announce();
  } catch (e) {
    fail(e);
  } finally {
    if (mine === task) busy(false);
  }
}

/** Shows an answer, from its first frame on if it will be played. */
function accept(answer, moving) {
  response = answer;
  pad.hide(true);
  show($('picture'), response.pixels, model);
  const order = leaders(response.lanes); // a class has the same color in both lanes
  lanes = response.lanes.map((_, i) => new Lane(response, i, model, order, state.spikes === 0, (f) => { stop(); seek(f); }));
  $('lanes').replaceChildren(...lanes.map((l) => l.root));
  layers.use(response, model, response.stage || 1);
  const slider = $('slider');
  slider.max = response.spikes.length - 1;
  slider.closest('section').hidden = response.spikes.length < 2;
  const at = state.at == null ? response.spikes.length - 1 : response.spikes.findLastIndex((t) => t <= state.at);
  showFrame(moving ? 0 : Math.max(0, at));
}

/** Shows a frame. */
function showFrame(f) {
  frame = Math.min(f, response.spikes.length - 1);
  const t = response.spikes[frame];
  $('slider').value = frame;
  $('slider').setAttribute('aria-valuetext', `${t} spikes per position: ${lanes.map(beliefText).join('; ')}`);
  $('count').textContent = t;
  $('unit').textContent = t === 1 ? 'spike' : 'spikes';
  $('now').textContent = lanes.map(beliefText).join(' | ');
  lanes.forEach((l) => l.draw(frame));
  layers.draw(frame);
}

function beliefText(lane) {
  const b = lane.best(frame);
  return `${b.name}, ${percent(b.probability)}`;
}

function announce() {
  const t = response.spikes[frame];
  say(`${t ? `After ${t} spikes per position: ` : ''}${lanes.map(beliefText).join('; ')}`);
}

function seek(f) {
  showFrame(f);
  state.at = frame === response.spikes.length - 1 ? null : response.spikes[frame];
  clearTimeout(rememberTimer);
  rememberTimer = setTimeout(() => { remember(); announce(); }, 400);
}

$('slider').addEventListener('input', () => { stop(); seek(Number($('slider').value)); });

// The player

function start() {
  stop();
  $('play').classList.add('playing');
  $('play-text').textContent = 'Pause';
  if (frame === response.spikes.length - 1) showFrame(0);
  playing = setInterval(() => {
    showFrame(frame + 1);
    if (frame === response.spikes.length - 1) {
      stop();
      seek(frame);
    }
  }, frameTime);
}

function stop() {
  clearInterval(playing);
  playing = 0;
  $('play').classList.remove('playing');
  $('play-text').textContent = 'Play';
}

$('play').addEventListener('click', () => {
  if (!response) return;
  if (playing) {
    stop();
    seek(frame);
  } else start();
});

// The link

let own = ''; // the fragment that the page has set itself
let remembered = 0;
async function remember() {
  const mine = ++remembered;
  const fragment = await encode(state);
  if (mine !== remembered) return; // there is a newer one
  own = fragment;
  history.replaceState(null, '', `#${own}`);
}

$('copy').addEventListener('click', async () => {
  await remember();
  try {
    await navigator.clipboard.writeText(location.href);
    $('copied').textContent = 'Copied.';
  } catch {
    $('copied').textContent = 'Your browser does not let pages copy. The address of this page is the link.';
  }
  say($('copied').textContent);
});

/** Shows what the link says. Returns false if there is none. */
async function openLink() {
  const size = (name) => {
    const m = models.find((x) => x.name === name);
    return m && m.height * m.width * m.channels;
  };
  const { hash } = location;
  const link = await decode(hash.slice(1), size);
  if (hash !== location.hash) return true; // there is a newer one
  if (!link) return false;
  await useModel(link.model);
  Object.assign(state, link);
  showSettings();
  press(tests.findIndex((t) => link.pixels && t.pixels.every((v, i) => v === link.pixels[i])));
  if (link.pixels) run({});
  else first();
  return true;
}

document.querySelector('.skip').addEventListener('click', (e) => { // the fragment is the link of the page
  e.preventDefault();
  $('lanes').focus();
});
addEventListener('hashchange', async () => {
  if (location.hash.slice(1) === own) return;
  try {
    await openLink();
  } catch (e) {
    fail(e);
  }
});

// The start

const redraw = () => { if (response) { lanes.forEach((l) => l.draw(frame)); layers.draw(frame); } };
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
let resizeTimer;
addEventListener('resize', () => { clearTimeout(resizeTimer); resizeTimer = setTimeout(redraw, 100); });

/** Shows or hides everything that needs the server's models. */
function present(visible) {
  document.querySelector('main').hidden = $('model').closest('label').hidden = !visible;
}

async function begin() {
  try {
    const overview = await api.models();
    $('token').hidden = $('message').hidden = true;
    present(true);
    ({ models, maxSpikes, maxFile } = overview);
    if (models.length === 0) throw new Error('This server has no networks that the page can show.');
    options($('model'), models.map((m) => [m.name, m.name]));
    let opened = false, damage;
    try {
      opened = await openLink();
    } catch (e) {
      damage = e;
    }
    if (!opened) {
      await useModel(models[0].name);
      state.sampler = ownSampler();
      showSettings();
      first();
    }
    if (damage) fail(damage);
  } catch (e) {
    fail(e);
    present(models.length > 0);
  }
}

$('token').addEventListener('submit', (e) => {
  e.preventDefault();
  api.useToken($('secret').value.trim());
  begin();
});

begin();
