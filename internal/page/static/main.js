// The page: its state, its controls and the loop of the player.
import * as api from './api.js';
import { prepare, Pad } from './draw.js';
import { Lane } from './lane.js';
import { decode, encode } from './link.js';
import { percent } from './chart.js';
import { show } from './pixels.js';
import { Layers } from './layers.js';

const $ = (id) => document.getElementById(id);
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const frameTime = 130; // ms

let models = [];
let maxSpikes = 0;
let model; // the description of the chosen model
let tests = [];
let response, lanes = [], frame = 0;
let playing = 0; // the timer of the player
let running; // of the request on its way
let drawTimer, levelTimer, rememberTimer;
const state = { model: '', stage: 0, spikes: 0, seed: 0, sampler: 'low_discrepancy', noise: '', level: 0, fit: true, at: null, pixels: null };

const layers = new Layers($('layers'), $('inside'));
const pad = new Pad($('ink'), $('pen'), drawn, () => { $('hint').hidden = true; press(null); });

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
  if (!pixels) return;
  if (model.light) pixels.forEach((v, i) => { pixels[i] = 255 - v; });
  $('lanes').setAttribute('aria-busy', 'true');
  clearTimeout(drawTimer);
  drawTimer = setTimeout(() => {
    if (!pad.down) pad.hide(true);
    choose(pixels);
  }, 350);
}

function press(index) {
  [...$('tests').children].forEach((b, i) => b.setAttribute('aria-pressed', String(i === index)));
}

function choose(pixels) {
  state.pixels = pixels;
  state.at = null;
  run({ play: true });
}

function chooseTest(i) {
  pad.clear();
  pad.hide(true);
  $('hint').hidden = false;
  press(i);
  choose(tests[i].pixels);
}

$('clear').addEventListener('click', () => {
  pad.clear();
  pad.hide(false);
  press(null);
  show($('picture'), new Uint8Array(model.height * model.width).fill(model.light ? 255 : 0), model);
  $('hint').hidden = false;
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
  if (!file) return;
  $('message').hidden = true;
  try {
    const pixels = await api.upload(model.name, file);
    pad.clear();
    pad.hide(true);
    press(null);
    choose(pixels);
  } catch (e) {
    fail(e);
  }
  $('file').value = '';
}

// The models and their settings

async function useModel(name) {
  running?.abort(); // it is for another model, and so are the picture and the timers
  clearTimeout(drawTimer);
  clearTimeout(levelTimer);
  clearTimeout(rememberTimer);
  stop();
  model = models.find((m) => m.name === name) ?? models[0];
  state.model = $('model').value = model.name;
  pad.light = model.light;
  $('pad').classList.toggle('light', model.light);
  pad.clear();
  pad.hide(true);
  $('pad').classList.toggle('fixed', model.channels !== 1);
  $('hint').hidden = model.channels !== 1;
  $('clear').hidden = model.channels !== 1;
  show($('picture'), new Uint8Array(model.height * model.width * model.channels), model);
  tests = model.pictures ? await api.pictures(model.name) : [];
  $('tests-title').hidden = $('source').hidden = tests.length === 0;
  $('tests').replaceChildren(...tests.map((t, i) => {
    const b = document.createElement('button');
    b.type = 'button';
    b.setAttribute('aria-label', `Test picture ${i + 1}${t.label ? `: ${t.label}` : ''}`);
    b.setAttribute('aria-pressed', 'false');
    b.title = t.label;
    const canvas = document.createElement('canvas');
    show(canvas, t.pixels, model);
    b.append(canvas);
    b.addEventListener('click', () => chooseTest(i));
    return b;
  }));
  options($('noise'), [['', 'none'], ...model.noise.map((n) => [n.name, n.name])]);
  options($('stage'), [[0, 'where the picture leaves'], ...model.stages.map((s, i) => [i + 1, `${i + 1} of ${model.stages.length}: ${spikesText(s)}`])]);
  $('stage-field').hidden = model.stages.length < 2;
  for (const id of ['sampler', 'spikes']) $(id).closest('.field').hidden = !spiking();
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
  state.level = Number($('level').value);
  showNoise();
  $('lanes').setAttribute('aria-busy', 'true');
  clearTimeout(levelTimer);
  levelTimer = setTimeout(() => run({}), 60);
});
$('model').addEventListener('change', async () => {
  $('lanes').setAttribute('aria-busy', 'true');
  try {
    Object.assign(state, { stage: 0, at: null, noise: '', level: 0, spikes: 0, pixels: null });
    await useModel($('model').value);
    if (state.sampler !== 'both') state.sampler = ownSampler();
    showSettings();
    first();
  } catch (e) {
    fail(e);
  }
});

/** Shows the first test picture that is not too easy, or asks for a picture if there are none. */
function first() {
  if (tests.length) return chooseTest(Math.max(0, tests.findIndex((t) => t.label === '3' || t.label === 'Dress')));
  stop();
  running?.abort();
  Object.assign(state, { pixels: null });
  response = null;
  lanes = [];
  const p = document.createElement('p');
  p.className = 'panel empty';
  const names = model.classes.slice(0, 20).join(', ') + (model.classes.length > 20 ? ` and ${model.classes.length - 20} more` : '');
  p.textContent = `${model.channels === 1 ? 'Draw something, or upload a picture.' : 'Upload a photo.'} The network tells these apart: ${names}.`;
  $('lanes').replaceChildren(p);
  $('lanes').setAttribute('aria-busy', 'false');
  $('slider').closest('section').hidden = $('inside').hidden = true;
  own = `m=${encodeURIComponent(model.name)}`;
  history.replaceState(null, '', `#${own}`);
}

// The run

async function run({ play = false }) {
  if (!state.pixels) {
    $('lanes').setAttribute('aria-busy', 'false');
    return;
  }
  running?.abort();
  const mine = running = new AbortController();
  stop();
  $('message').hidden = true;
  $('lanes').setAttribute('aria-busy', 'true');
  try {
    let samplers = state.sampler === 'both' ? ['low_discrepancy', 'iid'] : [state.sampler];
    if (!spiking()) samplers = ['low_discrepancy']; // all the same
    const noise = state.noise ? `${state.noise}=${state.level}` : '';
    const answer = await api.run({
      model: state.model, stage: state.stage, pixels: state.pixels, spikes: state.spikes, seed: state.seed, samplers, noise, fit: state.fit,
    }, mine.signal);
    if (mine.signal.aborted) return;
    const moving = play && !calm.matches && answer.spikes.length > 1;
    accept(answer, moving);
    await remember();
    if (mine !== running) return;
    if (moving) start();
    else announce();
  } catch (e) {
    fail(e);
  } finally {
    if (mine === running) $('lanes').setAttribute('aria-busy', 'false');
  }
}

/** Shows an answer, from its first frame on if it will be played. */
function accept(answer, moving) {
  response = answer;
  show($('picture'), response.pixels, model);
  lanes = response.lanes.map((_, i) => new Lane(response, i, model, state.spikes === 0, (f) => { stop(); seek(f); }));
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
  $('unit').textContent = t === 1 ? 'spike per position' : 'spikes per position';
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
async function remember() {
  own = await encode(state);
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
  const link = await decode(location.hash.slice(1), size);
  if (!link) return false;
  await useModel(link.model);
  Object.assign(state, link);
  showSettings();
  press(tests.findIndex((t) => link.pixels && t.pixels.every((v, i) => v === link.pixels[i])));
  if (link.pixels) run({});
  else first();
  return true;
}

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
    [models, maxSpikes] = [overview.models, overview.maxSpikes];
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
