// The time of the fastest run of a session of onnxruntime, in seconds: models.js and operators.js.
'use strict';

module.exports = async function fastest(session, feeds, seconds) {
  let best = Infinity;
  const begin = process.hrtime.bigint();
  do {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e9);
  } while (Number(process.hrtime.bigint() - begin) / 1e9 < seconds);
  return best;
};
