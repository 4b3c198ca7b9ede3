// A component in JavaScript that counts in memory, which is reset, and in the store, which stays. See README.md.
let inMemory = 0;

addEventListener('fetch', (event) => event.respondWith(visit(event.request)));

async function visit(request) {
  inMemory += 1;
  const { port } = new URL(request.url);
  const counter = await fetch(`http://localhost:${port}/counter/visits`, { method: 'POST' });
  if (!counter.ok) return new Response(`the counter answered ${counter.status}\n`, { status: 502 });
  return Response.json({ inMemory, stored: Number(await counter.text()) });
}
