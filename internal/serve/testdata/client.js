// Uses sbs-serve as a client in JavaScript does, and prints the answers as JSON. Arguments: as in
// client.py, with the path of the .proto file instead of the folder of the generated module.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, proto, model, text] = process.argv.slice(2);
const images = JSON.parse(text);
const { inference } = grpc.loadPackageDefinition(loader.loadSync(proto, { keepCase: true, longs: Number, defaults: true }));
const client = new inference.GRPCInferenceService(address, grpc.credentials.createInsecure());
const call = (name, request) => new Promise((resolve, reject) => client[name](request, (err, r) => (err ? reject(err) : resolve(r))));

function request(id, values, raw) {
  const flat = values.flat();
  const r = {
    model_name: model, id, parameters: { seed: { int64_param: 3 } },
    inputs: [{ name: 'image', datatype: 'FP32', shape: [values.length, 1, 12, 12] }],
  };
  if (raw) r.raw_input_contents = [Buffer.from(new Float32Array(flat).buffer)];
  else r.inputs[0].contents = { fp32_contents: flat };
  return r;
}

(async () => {
  const out = {
    live: (await call('ServerLive', {})).live,
    ready: (await call('ServerReady', {})).ready,
    model: (await call('ModelReady', { name: model })).ready,
    server: (await call('ServerMetadata', {})).name,
    input: (await call('ModelMetadata', { name: model })).inputs[0].name,
  };
  const calls = [];
  for (let n = 1; n <= images.length; n++) {
    for (const raw of [false, true]) {
      calls.push(call('ModelInfer', request(String(n), images.slice(0, n), raw)).then((r) => {
        const b = raw && r.raw_output_contents[0];
        const values = raw ? Array.from({ length: b.length / 4 }, (_, i) => b.readFloatLE(4 * i)) : r.outputs[0].contents.fp32_contents;
        return { id: r.id, values };
      }));
    }
  }
  out.answers = await Promise.all(calls);
  await call('ModelInfer', { model_name: 'other' }).catch((e) => Object.assign(out, { code: grpc.status[e.code], error: e.details }));
  console.log(JSON.stringify(out));
  client.close();
})();
