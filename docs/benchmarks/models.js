// Compares the speed and the outputs of this project with those of onnxruntime, for the models
// that models.json lists. Both run alternately with the same inputs, and the fastest run of each
// counts, because other load on the machine only makes a run slower.
//
//   SBS_ONNXRUNTIME=FOLDER node models.js SBS-RUN CACHE [--rounds=N] [--seconds=S] [--threads=1,2] [NAME...]
//
// FOLDER is where "npm install --ignore-scripts onnxruntime-node" was run, SBS-RUN is the command,
// and CACHE is a folder for the models, which npm downloads. Only models whose name contains a
// NAME are measured. make bench-ort does all of this.
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');
const ort = require(path.resolve(process.env.SBS_ONNXRUNTIME || '.', 'node_modules/onnxruntime-node'));
const fastest = require('./fastest.js');

const tolerance = 1e-3; // of the largest element of an output

const arrays = { float32: Float32Array, int64: BigInt64Array };
const npyTypes = { float32: '<f4', int64: '<i8' };

// fetchPackage returns the folder of an npm package without its dependencies.
function fetchPackage(name, cache) {
  const folder = path.join(cache, name.replace(/[/@]/g, '_'));
  if (!fs.existsSync(path.join(folder, 'package'))) {
    const partial = `${folder}.partial`;
    fs.rmSync(partial, { recursive: true, force: true });
    fs.mkdirSync(partial, { recursive: true });
    const file = execFileSync('npm', ['pack', '--silent', '--pack-destination', partial, name], { encoding: 'utf8' }).trim();
    execFileSync('tar', ['xzf', path.join(partial, path.basename(file)), '-C', partial]);
    fs.rmSync(path.join(partial, path.basename(file)));
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(partial, folder);
  }
  return path.join(folder, 'package');
}

// modelFile returns the path of a model. The packages of imgly divide a model into chunks, which
// resources.json lists.
function modelFile(model, cache) {
  const folder = fetchPackage(model.package, cache);
  if (model.file) {
    return path.join(folder, model.file);
  }
  const joined = path.join(folder, `${path.basename(model.chunks)}.onnx`);
  if (!fs.existsSync(joined)) {
    const resources = JSON.parse(fs.readFileSync(path.join(folder, 'dist/resources.json')));
    const { chunks } = resources[model.chunks];
    fs.writeFileSync(joined, Buffer.concat(chunks.map((c) => fs.readFileSync(path.join(folder, 'dist', c.hash)))));
  }
  return joined;
}

// inputsOf returns the elements of the inputs of a model: a given value, or numbers from 0 to 1
// of a linear congruential generator (Numerical Recipes), which are the same in every run.
function inputsOf(model) {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Object.entries(model.inputs).map(([name, { type = 'float32', dims, value }]) => {
    const data = new arrays[type](dims.reduce((a, b) => a * b, 1));
    for (let i = 0; i < data.length; i++) {
      data[i] = type === 'int64' ? BigInt(value) : value ?? random();
    }
    return { name, type, dims, data };
  });
}

function writeNpy(file, { type, dims, data }) {
  const shape = dims.map((d) => `${d},`).join(' ');
  const text = `{'descr': '${npyTypes[type]}', 'fortran_order': False, 'shape': (${shape}), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + '\n';
  const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  fs.writeFileSync(file, Buffer.concat([start, Buffer.from(header), Buffer.from(data.buffer)]));
}

function readNpy(file) {
  const b = fs.readFileSync(file);
  const start = 10 + b.readUInt16LE(8);
  const type = Object.keys(npyTypes).find((t) => b.subarray(10, start).includes(`'${npyTypes[t]}'`));
  if (!type) {
    throw new Error(`${file}: unknown element type`);
  }
  return new arrays[type](b.buffer.slice(b.byteOffset + start, b.byteOffset + b.length));
}

// difference returns the largest difference of two arrays, divided by the largest element.
function difference(ours, theirs) {
  if (ours.length !== theirs.length) {
    return Infinity;
  }
  let most = 0;
  let scale = 0;
  for (let i = 0; i < ours.length; i++) {
    const [a, b] = [Number(ours[i]), Number(theirs[i])];
    if (a !== b && !(Number.isNaN(a) && Number.isNaN(b))) {
      most = Math.max(most, Number.isNaN(a - b) ? Infinity : Math.abs(a - b));
    }
    scale = Math.max(scale, Math.abs(b) || 0);
  }
  return most === 0 ? 0 : most / scale;
}

// runTheirs measures onnxruntime for some time. It returns the seconds of the fastest run, and
// the outputs by name.
async function runTheirs(file, inputs, threads, seconds) {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', logSeverityLevel: 3,
  });
  const feeds = Object.fromEntries(inputs.map(({ name, type, dims, data }) => [name, new ort.Tensor(type, data, dims)]));
  const outputs = await session.run(feeds);
  const best = await fastest(session, feeds, seconds);
  const result = { best, outputs: Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, t.data])) };
  await session.release();
  return result;
}

// runOurs measures this project in the same way. Without a number of runs, it writes the outputs.
function runOurs(sbsRun, file, folder, inputs, threads, runs) {
  const args = [file, '--random', '--format', 'json', '--workers', String(threads)];
  for (const { name } of inputs) {
    args.push('--input', `${name}=${path.join(folder, `${name.replace(/\W/g, '_')}.npy`)}`);
  }
  args.push('--runs', String(runs || 1));
  if (!runs) {
    args.push('--output', path.join(folder, 'outputs'), '--force');
  }
  return JSON.parse(execFileSync(sbsRun, args, { encoding: 'utf8', maxBuffer: 1 << 26 }));
}

async function compare(model, { sbsRun, cache, rounds, seconds, threads }) {
  const file = modelFile(model, cache);
  const inputs = inputsOf(model);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'models-'));
  try {
    for (const input of inputs) {
      writeNpy(path.join(folder, `${input.name.replace(/\W/g, '_')}.npy`), input);
    }
    const first = runOurs(sbsRun, file, folder, inputs, threads[0]);
    const runs = Math.max(1, Math.min(20000, Math.round(seconds / first.timing.min_seconds)));
    const times = threads.map(() => ({ ours: Infinity, theirs: Infinity }));
    let outputs;
    // Other load hardly changes the fastest of several long runs.
    for (let round = 0; round < (first.timing.min_seconds > 1 ? Math.min(rounds, 2) : rounds); round++) {
      for (const [i, n] of threads.entries()) {
        const theirs = await runTheirs(file, inputs, n, seconds);
        outputs ??= theirs.outputs;
        times[i].theirs = Math.min(times[i].theirs, theirs.best);
        times[i].ours = Math.min(times[i].ours, runOurs(sbsRun, file, folder, inputs, n, runs).timing.min_seconds);
      }
    }
    const differences = first.outputs.map(({ name, file: output }) => ({ name, by: difference(readNpy(output), outputs[name]) }));
    return { times, differences: differences.filter((d) => !(d.by <= tolerance)) };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

function median(numbers) {
  const v = numbers.toSorted((a, b) => a - b);
  return (v[(v.length - 1) >> 1] + v[v.length >> 1]) / 2;
}

const milliseconds = (s) => (s * 1000).toPrecision(3);

async function main(args) {
  const flags = Object.fromEntries(args.filter((a) => a.startsWith('--')).map((a) => a.slice(2).split('=')));
  const [sbsRun, cache, ...names] = args.filter((a) => !a.startsWith('--'));
  if (!cache) {
    throw new Error('usage: node models.js SBS-RUN CACHE [--rounds=N] [--seconds=S] [--threads=1,2] [NAME...]');
  }
  const options = {
    sbsRun: path.resolve(sbsRun), cache: path.resolve(cache), rounds: Number(flags.rounds || 5), seconds: Number(flags.seconds || 0.5),
    threads: (flags.threads || '1,2').split(',').map(Number),
  };
  const models = JSON.parse(fs.readFileSync(path.join(__dirname, 'models.json')));
  const chosen = models.filter((m) => names.length === 0 || names.some((n) => m.name.toLowerCase().includes(n.toLowerCase())));
  const headings = options.threads.map((n) => `${`ms, ${n} thread${n > 1 ? 's' : ''}`.padStart(15)} ${'onnxruntime'.padStart(12)} ${'ratio'.padStart(6)}`);
  console.log(`${'model'.padEnd(28)}${headings.join('')}`);
  const ratios = options.threads.map(() => []);
  for (const model of chosen) {
    const { times, differences } = await compare(model, options);
    const columns = times.map(({ ours, theirs }, i) => {
      ratios[i].push(ours / theirs);
      return `${milliseconds(ours).padStart(15)} ${milliseconds(theirs).padStart(12)} ${(ours / theirs).toFixed(2).padStart(6)}`;
    });
    console.log(`${model.name.padEnd(28)}${columns.join('')}`);
    for (const { name, by } of differences) {
      console.log(`  output ${name} differs by ${by.toPrecision(2)} of its largest element`);
    }
  }
  console.log(`${'median'.padEnd(28)}${ratios.map((r) => median(r).toFixed(2).padStart(35)).join('')}`);
}

main(process.argv.slice(2)).catch((e) => {
  console.error(e.message);
  process.exit(1);
});
