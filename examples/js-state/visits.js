// A component in JavaScript that counts in memory, which is reset, and in the store, which stays. See README.md.
import { open } from 'wasi:keyvalue/store@0.2.0-draft2';
import { increment } from 'wasi:keyvalue/atomics@0.2.0-draft2';

let inMemory = 0;

addEventListener('fetch', (event) => event.respondWith(visit()));

async function visit() {
  inMemory += 1;
  const stored = increment(open('default'), 'visits', 1n); // throws what the interface calls an error: 502
  return Response.json({ inMemory, stored: Number(stored) });
}
