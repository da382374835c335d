// The spikes of the first layer as dots in the picture.
import { color, css, mix, sharp } from './pixels.js';

const most = 5000; // dots; beyond it, a dot stands for several spikes

/** Returns a number in [0, 1) that looks random and is always the same for i. */
function noise(i) {
  let x = Math.imul(i + 1, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 15), 0x85ebca77);
  return ((x ^ (x >>> 13)) >>> 0) / 2 ** 32;
}

/** Says where the spikes are, and what their colors mean. */
export function meaning({ channels, black }) {
  const colors = channels.includes('red');
  if (channels.includes('dark')) return `${colors ? 'Red, green and blue' : 'Blue'}: brighter than a mean value; gray: darker.`;
  return `${colors ? 'The more of a color, the more spikes' : 'Bright points get more'}${black ? '; where all is black, they fall anywhere' : ''}.`;
}

/** Draws the spikes up to a frame; the latest ones stand out. Returns the number of spikes that a dot stands for. */
export function drawDots(canvas, lane, frame, response, model) {
  const inner = { height: model.height - 2 * response.crop, width: model.width - 2 * response.crop };
  const { context: c, width } = sharp(canvas, canvas.clientWidth * (model.height / model.width));
  const cell = width / model.width;
  const plane = inner.height * inner.width;
  const size = plane * response.channels.length;
  const each = Math.max(1, Math.ceil(lane.drawn[frame] / most));
  const well = color('well');
  const named = { light: color('accent'), dark: color('muted'), red: color('red'), green: color('green'), blue: color('blue') };
  response.channels.forEach((name, channel) => {
    const fresh = css(named[name]), old = css(mix(named[name], well, 0.45));
    for (let i = 0; i < plane; i++) {
      const at = channel * plane + i;
      const count = lane.dots[frame * size + at];
      if (!count) continue;
      const before = frame ? lane.dots[(frame - 1) * size + at] : 0;
      // A part of a dot becomes a dot with this probability.
      const [from, to] = [before, count].map((n) => Math.floor(n / each + noise(at)));
      const x = (i % inner.width) + response.crop, y = Math.floor(i / inner.width) + response.crop;
      const radius = Math.max(0.8, cell * (to > 8 ? 0.1 : 0.13));
      for (let k = 0; k < Math.min(to, 60); k++) {
        // These places are evenly spread over the pixel.
        const u = (noise(at + 7919) + k * 0.7548776662) % 1, v = (noise(at + 104729) + k * 0.5698402910) % 1;
        c.fillStyle = k < from ? old : fresh;
        c.beginPath();
        c.arc((x + u) * cell, (y + v) * cell, radius, 0, 7);
        c.fill();
      }
    }
  });
  return each;
}
