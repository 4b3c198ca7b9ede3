// A component in JavaScript: the web's Request, Response, fetch and streams, served by a fetch event. See README.md.
import { getEnvironment } from 'wasi:cli/environment@0.2.10';

let count = 0; // Reads 1 in every reply: no request sees what another left in memory.

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  count += 1;
  const url = new URL(request.url);
  switch (url.pathname) {
    case '/echo/stream':
      return new Response(letters(Number(url.searchParams.get('kb') ?? 1024)));
    case '/echo/ticks':
      return new Response(ticks(Number(url.searchParams.get('last') ?? 5)), { headers: { 'content-type': 'text/event-stream' } });
    case '/echo/size':
      return size(request.body);
    case '/echo/settings':
      return Response.json(Object.fromEntries(getEnvironment()));
    case '/echo/through':
      return through(request, url.searchParams.get('to'));
  }
  const body = await request.text();
  const headers = Object.fromEntries(request.headers);
  return Response.json({ count, method: request.method, path: url.pathname + url.search, headers, body }, { headers: { 'x-count': String(count) } });
}

// letters is a body that is made while it is sent.
function letters(kilobytes) {
  return new ReadableStream({
    pull(out) {
      if (kilobytes-- > 0) out.enqueue(new Uint8Array(1024).fill(0x61)); // a new one each: what was enqueued is gone
      else out.close();
    },
  });
}

// ticks are server-sent events, ten a second. Each is sent when it is made.
function ticks(last) {
  let n = 0;
  return new ReadableStream({
    async pull(out) {
      if (n > 0) await new Promise((done) => setTimeout(done, 100));
      out.enqueue(new TextEncoder().encode(`data: ${++n}\n\n`));
      if (n === last) out.close();
    },
  });
}

// size counts a body while it comes, so that it may be larger than memory.
async function size(body) {
  let bytes = 0;
  if (body) for (const reader = body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
  }
  return Response.json({ count, bytes });
}

// through sends a request on, body and reply as streams. sett.yaml says where to.
async function through(request, to) {
  try {
    const { method, body } = request;
    return await fetch(to, body ? { method, body, duplex: 'half' } : { method });
  } catch (error) {
    return Response.json({ count, error: String(error) }, { status: 502 });
  }
}
