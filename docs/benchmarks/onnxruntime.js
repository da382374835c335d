// Measures how many images per second onnxruntime classifies with a model, for comparison
// with this project. The best of several rounds counts, because other load on the machine
// only makes a round slower.
//
//   SBS_ONNXRUNTIME=FOLDER node onnxruntime.js MODEL.onnx [THREADS [BATCH]]
//
// FOLDER is where "npm install --ignore-scripts onnxruntime-node" was run; make
// bench-onnxruntime does both.
'use strict';
const path = require('path');
const ort = require(path.resolve(process.env.SBS_ONNXRUNTIME || '.', 'node_modules/onnxruntime-node'));

const rounds = 10;
const secondsPerRound = 1;

async function main([model, threads = '2', batch = '64']) {
  if (!model) {
    throw new Error('usage: node onnxruntime.js MODEL.onnx [THREADS [BATCH]]');
  }
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: Number(threads), interOpNumThreads: 1, executionMode: 'sequential', logSeverityLevel: 3,
  });
  const [input] = session.inputMetadata;
  const dims = [Number(batch), ...input.shape.slice(1)];
  const pixels = new Float32Array(dims.reduce((a, b) => a * b)).map(() => Math.random());
  const feeds = { [input.name]: new ort.Tensor('float32', pixels, dims) };
  let best = 0;
  for (let i = 0; i < rounds; i++) {
    const start = process.hrtime.bigint();
    let images = 0;
    let seconds;
    do {
      await session.run(feeds);
      images += dims[0];
      seconds = Number(process.hrtime.bigint() - start) / 1e9;
    } while (seconds < secondsPerRound);
    best = Math.max(best, images / seconds);
  }
  console.log(`onnxruntime ${ort.env.versions.node}, ${threads} threads, batches of ${batch}: ${Math.round(best)} images/s`);
}

main(process.argv.slice(2)).catch((e) => {
  console.error(e.message);
  process.exit(1);
});
