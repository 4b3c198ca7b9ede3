// The work kv, as a component of its own: not all that run wasi:http offer wasi:keyvalue.
import { open } from 'wasi:keyvalue/store@0.2.0-draft2';
import { answer } from './works.mjs';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

function store() {
  const bucket = open('default');
  const name = (key) => key.replaceAll('/', '.');
  return {
    get(key) {
      const value = bucket.get(name(key));
      return value && decoder.decode(value);
    },
    put: (key, value) => bucket.set(name(key), encoder.encode(value)),
  };
}

addEventListener('fetch', (event) => event.respondWith(answer(event.request, { store: store() })));
