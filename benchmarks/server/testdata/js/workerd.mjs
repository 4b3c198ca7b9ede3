// The works in workerd. The state of a key is that of a Durable Object.
import { createHash } from 'node:crypto';
import { DurableObject } from 'cloudflare:workers';
import { answer, count } from './works.mjs';

export class Counter extends DurableObject {
  next() {
    return count(this.ctx.storage, 'count');
  }
}

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

export default {
  fetch(request, env) {
    const path = new URL(request.url).pathname;
    if (!path.startsWith('/kv/')) return answer(request, { digest });
    return env.COUNTERS.get(env.COUNTERS.idFromName(path)).next().then((n) => new Response(n));
  },
};
