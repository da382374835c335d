// The requests to the server, and the form of its answers.

let token = ''; // that the server asks for, "" if none is known

/** Is thrown when the server asks for a token, or for another one. */
export class TokenError extends Error {}

export function useToken(text) { token = text; }

/** Returns the answer of the server. A refusal becomes an Error with the server's reason. */
async function ask(path, options = {}) {
  let response;
  try {
    const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
    response = await fetch(`page/${path}`, { ...options, headers });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Error('The server does not answer. Is it still running?');
  }
  const body = await response.json().catch(() => null);
  options.signal?.throwIfAborted();
  if (response.status === 401) throw new TokenError(token ? 'This is not the token of the server.' : 'This server asks for a token.');
  if (!response.ok) throw new Error(body?.error || `The server answers ${response.status} ${response.statusText}.`);
  if (!body) throw new Error('The answer of the server cannot be read. Please try again.');
  return body;
}

export const models = () => ask('models');

export async function pictures(model, signal) {
  const list = await ask(`pictures?model=${encodeURIComponent(model)}`, { signal });
  return list.map((p) => ({ label: p.label, pixels: fromBase64(p.pixels) }));
}

/** Returns the pixels of a picture file, with the size that the model takes. */
export async function upload(model, file, signal) {
  const p = await ask(`picture?model=${encodeURIComponent(model)}`, { method: 'POST', body: file, signal });
  return fromBase64(p.pixels);
}

export async function weights(model, stage, layer, neuron, signal) {
  const query = new URLSearchParams({ model, stage, layer, neuron });
  const w = await ask(`weights?${query}`, { signal });
  return { ...w, pixels: fromBase64(w.pixels) };
}

/** Runs the network. The arrays of the answer become typed arrays. */
export async function run(request, signal) {
  const r = await ask('run', {
    method: 'POST', signal, headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...request, pixels: toBase64(request.pixels) }),
  });
  r.pixels = fromBase64(r.pixels);
  for (const lane of r.lanes) {
    lane.layers ??= [];
    for (const l of lane.layers) l.h = l.h && fromBase64(l.h);
    lane.sees = lane.sees && fromBase64(lane.sees);
    if (lane.dots) {
      const bytes = fromBase64(lane.dots);
      lane.dots = Uint16Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] | (bytes[2 * i + 1] << 8));
    }
  }
  return r;
}

export function fromBase64(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

export function toBase64(bytes) {
  let raw = '';
  for (const b of bytes) raw += String.fromCharCode(b);
  return btoa(raw);
}
