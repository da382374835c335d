// Runs models in onnxruntime, for internal/tools/operatorspeed. Every line of standard input is
// a model to measure, in JSON:
//
//   {"model": FILE, "threads": N, "seconds": S, "inputs": {NAME: {"type", "dims", "file"}}}
//
// A file holds the elements, little-endian, in row-major order. Every model gets a line of
// standard output: the shortest time of a run, in seconds, or the text of an error. A session is
// kept until a line has another model or number of threads.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const ort = require(path.resolve(process.env.SBS_ONNXRUNTIME || '.', 'node_modules/onnxruntime-node'));
const fastest = require('./fastest.js');

const arrays = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, int32: Int32Array, int64: BigInt64Array,
  int8: Int8Array, uint8: Uint8Array, bool: Uint8Array,
};

let session;
let kept;
let feeds;

async function measure({ model, threads, seconds, inputs }) {
  if (kept !== model + threads) {
    if (session) {
      await session.release();
    }
    // Without optimizations, the copies of a node are not merged.
    session = await ort.InferenceSession.create(model, {
      intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential', logSeverityLevel: 3, graphOptimizationLevel: 'disabled',
    });
    kept = model + threads;
    feeds = {};
    for (const [name, { type, dims, file }] of Object.entries(inputs)) {
      const b = fs.readFileSync(file);
      feeds[name] = new ort.Tensor(type, new arrays[type](b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength)), dims);
    }
  }
  return fastest(session, feeds, seconds);
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      answer = await measure(JSON.parse(line));
    } catch (e) {
      answer = JSON.stringify(e.message);
    }
    process.stdout.write(`${answer}\n`);
  }
})();
