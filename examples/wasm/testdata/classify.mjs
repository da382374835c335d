// Classifies picture files with the program of the page, in node:
//
//	node classify.mjs wasm_exec.js app.wasm model.onnx picture.png...
//
// It prints what sbs.open has returned, and what sbs.classify has returned for each picture, as JSON.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [support, program, model, ...pictures] = process.argv.slice(2);
await import(pathToFileURL(support));
const go = new globalThis.Go();
const { instance } = await WebAssembly.instantiate(readFileSync(program), go.importObject);
go.run(instance);
const read = (file) => new Uint8Array(readFileSync(file));
const early = sbs.classify(read(pictures[0]));
const opened = sbs.open(read(model));
console.log(JSON.stringify({ early, opened, results: pictures.map((file) => sbs.classify(read(file))), wrong: sbs.open('text') }));
process.exit(0);
