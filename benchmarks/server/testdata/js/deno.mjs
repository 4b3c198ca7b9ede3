// The works in Deno: deno serve deno.mjs, with the file of its key-value store in KV.
import { createHash } from 'node:crypto';
import { answer } from './works.mjs';

const kv = await Deno.openKv(Deno.env.get('KV'));
const platform = {
  digest: (bytes) => createHash('sha256').update(bytes).digest('hex'), // crypto.subtle takes as long
  store: { get: async (key) => (await kv.get([key])).value, put: (key, value) => kv.set([key], value) },
};

export default { fetch: (request) => answer(request, platform) };
