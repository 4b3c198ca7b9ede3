// Works in WebAssembly in workerd: the function in Go that the naive servers run, in one instance that is never reset, under
// what it asks of WASI.
import module from './guest.wasm';

const text = new TextEncoder();
let guest;

const memory = () => new DataView(guest.memory.buffer);
const zeros = (...at) => at.forEach((p) => memory().setUint32(p, 0, true)) ?? 0;
const unknown = () => 8; // no such file

const wasi = {
  args_get: () => 0,
  args_sizes_get: (count, size) => zeros(count, size),
  environ_get: () => 0,
  environ_sizes_get: (count, size) => zeros(count, size),
  clock_time_get: (_id, _precision, at) => (memory().setBigUint64(at, BigInt(Date.now()) * 1000000n, true), 0),
  random_get: (at, n) => (crypto.getRandomValues(new Uint8Array(guest.memory.buffer, at, n)), 0),
  sched_yield: () => 0,
  poll_oneoff: () => 52, // not supported
  proc_exit: (code) => { throw new Error(`the function has ended with ${code}`); },
  fd_write: unknown, fd_close: unknown, fd_fdstat_get: unknown, fd_fdstat_set_flags: unknown,
  fd_prestat_get: unknown, fd_prestat_dir_name: unknown,
};
const store = { get: () => 0n, put: () => {} }; // nothing to keep state in that answers at once

// start makes the instance, in the first request: before there is one, workerd has no random numbers.
function start() {
  guest = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi, store }).exports;
  guest._initialize();
}

export default {
  async fetch(request) {
    if (!guest) start();
    const body = new Uint8Array(request.body ? await request.arrayBuffer() : 0);
    let head = `${request.method} ${new URL(request.url).pathname}\n`;
    for (const [name, value] of request.headers) head += `${name}: ${value}\n`;
    const bytes = text.encode(head + '\n');
    const at = guest.buffer(bytes.length + body.length);
    const to = new Uint8Array(guest.memory.buffer, at, bytes.length + body.length);
    to.set(bytes);
    to.set(body, bytes.length);
    const place = BigInt.asUintN(64, guest.handle());
    const reply = new Uint8Array(guest.memory.buffer, Number(place >> 32n), Number(place & 0xffffffffn)).slice();
    const end = reply.indexOf(10);
    return new Response(reply.subarray(end + 1), { headers: { 'content-type': new TextDecoder().decode(reply.subarray(0, end)) } });
  },
};
