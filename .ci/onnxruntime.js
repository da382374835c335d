// Runs models in onnxruntime, for the tests to compare with. Standard input is a
// list of runs in JSON:
//
//   [{"model": FILE, "feeds": {NAME: {"type": "float32", "dims": [...], "file": FILE}},
//     "outputs": FOLDER, "repeat": N}]
//
// Files hold the elements, little-endian, in row-major order; strings are a list in
// JSON. Every output is written into the folder, the first as 0, the second as 1.
// Standard output is a list in JSON, with {"version", "outputs": [{"name", "type",
// "dims"}], "cpuSeconds"} for each run; the time is the least of the repetitions.
// It is {"version", "error"} for a run that fails.
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require(path.resolve(process.env.SBS_ONNXRUNTIME, 'node_modules/onnxruntime-node'));

const arrays = {
  float16: Uint16Array, float32: Float32Array, float64: Float64Array, bool: Uint8Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
};

function tensor({ type, dims, file }) {
  const b = fs.readFileSync(file);
  if (type === 'string') {
    return new ort.Tensor(type, JSON.parse(b), dims);
  }
  return new ort.Tensor(type, new arrays[type](b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength)), dims);
}

async function run({ model, feeds, outputs, repeat }) {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 2 });
  const inputs = Object.fromEntries(Object.entries(feeds).map(([name, f]) => [name, tensor(f)]));
  let results;
  let cpuSeconds = Infinity;
  for (let i = 0; i < (repeat || 1); i++) {
    const before = process.cpuUsage();
    results = await session.run(inputs);
    const used = process.cpuUsage(before);
    cpuSeconds = Math.min(cpuSeconds, (used.user + used.system) / 1e6);
  }
  const listed = session.outputNames.map((name, i) => {
    const { data, dims, type } = results[name];
    const bytes = type === 'string' ? JSON.stringify(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    fs.writeFileSync(path.join(outputs, String(i)), bytes);
    return { name, type, dims };
  });
  await session.release();
  return { version: ort.env.versions.node, outputs: listed, cpuSeconds };
}

(async () => {
  const done = [];
  for (const r of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    try {
      done.push(await run(r));
    } catch (e) {
      done.push({ version: ort.env.versions.node, error: e.message });
    }
  }
  process.stdout.write(JSON.stringify(done));
})().catch((e) => {
  console.error(e.message);
  process.exit(1);
});
