// The fragment of the address: the picture and all settings.
import { fromBase64, toBase64 } from './api.js';

const urlSafe = (text) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const unsafe = (text) => text.replaceAll('-', '+').replaceAll('_', '/');

const through = (stream, bytes) => new Blob([bytes]).stream().pipeThrough(stream);

const packed = async (pixels) => new Uint8Array(await new Response(through(new CompressionStream('deflate-raw'), pixels)).arrayBuffer());

/** Undoes packed, but reads little more than most bytes. */
async function unpacked(bytes, most) {
  const reader = through(new DecompressionStream('deflate-raw'), bytes).getReader();
  const pixels = [];
  while (pixels.length <= most) {
    const { done, value } = await reader.read();
    if (done) return Uint8Array.from(pixels);
    for (const v of value) pixels.push(v);
  }
  reader.cancel();
  return Uint8Array.from(pixels);
}

/** Returns the fragment for a state. Most settings with their default are left out. */
export async function encode(state) {
  const p = new URLSearchParams({ m: state.model, sampler: state.sampler });
  if (state.stage) p.set('stage', state.stage);
  if (state.spikes) p.set('spikes', state.spikes);
  if (state.seed) p.set('seed', state.seed);
  if (state.noise) p.set('noise', `${state.noise}=${state.level}`);
  if (!state.fit) p.set('fit', 'no');
  if (state.at != null) p.set('t', state.at);
  if (state.pixels) p.set('p', urlSafe(toBase64(await packed(state.pixels))));
  return p.toString();
}

/** Returns the state of a fragment, null for an empty one. size is the size of a model's picture by name. */
export async function decode(fragment, size) {
  if (!fragment) return null;
  const p = new URLSearchParams(fragment);
  const whole = (name, most) => {
    const v = Number(p.get(name) ?? 0);
    if (!Number.isInteger(v) || v < 0 || v > most) throw new Error(`This link is damaged: "${name}" is not a number from 0 to ${most}.`);
    return v;
  };
  const [noise, level] = (p.get('noise') ?? '').split('=');
  const state = {
    model: p.get('m') ?? '', stage: whole('stage', 16), spikes: whole('spikes', 1e7), seed: whole('seed', Number.MAX_SAFE_INTEGER),
    sampler: p.get('sampler') ?? 'low_discrepancy', noise, level: Number(level ?? 0), fit: p.get('fit') !== 'no',
    at: p.has('t') ? whole('t', 1e7) : null, pixels: null,
  };
  if (!state.model) throw new Error('This link is damaged: it names no network.');
  const want = size(state.model);
  if (!want) throw new Error(`This link is for the network "${state.model}", which this server does not have.`);
  if (p.has('p')) {
    try {
      state.pixels = await unpacked(fromBase64(unsafe(p.get('p'))), want);
    } catch {
      throw new Error('This link is damaged: its picture cannot be read. Was it copied whole?');
    }
    if (state.pixels.length !== want) throw new Error('This link is damaged: its picture has another size than the network takes.');
  }
  return state;
}
