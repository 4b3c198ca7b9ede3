// The works of benchmarks/work in what every JavaScript runtime has. A runtime's own file brings what they differ in: a
// server, digest(bytes), which answers hex, and store, whose get(key) answers nothing at first, and put(key, value).

export const hello = 'hello, world\n';

const items = Array.from({ length: 32 }, (_, i) => `item ${String(i).padStart(2, '0')} abcdefghijklmnopqrstuvwx`);

// inspect is the reply to GET /json; header answers a request's header, nothing without it.
export function inspect(method, header) {
  const session = (header('cookie') ?? '').split(';').map((c) => c.trim()).find((c) => c.startsWith('session='));
  return JSON.stringify({
    method,
    accept: header('accept') ?? '',
    agent: header('user-agent') ?? '',
    signed: (header('authorization') ?? '').startsWith('Bearer '),
    session: session?.slice('session='.length) ?? '',
    items,
  });
}

// count reads a number and writes one larger.
export async function count(store, key) {
  const next = String(Number((await store.get(key)) ?? 0) + 1);
  await store.put(key, next);
  return next;
}

// answer answers one of the web's requests, with a promise only where there is something to wait for.
export function answer(request, { digest, store }) {
  const path = request.url.slice(request.url.indexOf('/', 'https://'.length));
  switch (path) {
    case '/hello':
      return new Response(hello);
    case '/json':
      return new Response(inspect(request.method, (name) => request.headers.get(name)), { headers: { 'content-type': 'application/json' } });
    case '/sha256':
      return request.arrayBuffer().then((body) => digest(new Uint8Array(body))).then((hex) => new Response(hex));
  }
  return count(store, path).then((n) => new Response(n));
}
