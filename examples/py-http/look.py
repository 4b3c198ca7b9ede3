"""A component in Python: it tells what came in. See README.md."""
import json

from wit_world.exports import IncomingHandler as Handler
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.types import (
    Fields, IncomingBody, IncomingRequest, Method_Other, OutgoingBody, OutgoingResponse, ResponseOutparam,
)
from componentize_py_types import Err, Ok

count = 0  # Reads 1 in every reply: no request sees what another left in memory.


class IncomingHandler(Handler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        global count
        count += 1
        path = request.path_with_query() or "/"
        response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as out:
            if path.startswith("/look/stream?kb="):
                for _ in range(int(path.partition("=")[2])):
                    out.blocking_write_and_flush(b"a" * 1024)
            else:
                write(out, json.dumps(describe(request, path)).encode())
        OutgoingBody.finish(body, None)


def describe(request: IncomingRequest, path: str) -> dict:
    method = request.method()
    name = method.value if isinstance(method, Method_Other) else type(method).__name__[len("Method_"):].upper()
    headers = {name: value.decode() for name, value in request.headers().entries()}
    return {"count": count, "method": name, "path": path, "headers": headers, "body": read(request).decode()}


def read(request: IncomingRequest) -> bytes:
    pieces = []
    body = request.consume()
    with body.stream() as stream:
        try:
            while True:
                pieces.append(stream.blocking_read(1 << 16))
        except Err as e:
            if not isinstance(e.value, StreamError_Closed):
                raise
    IncomingBody.finish(body)
    return b"".join(pieces)


def write(out, data: bytes) -> None:
    for at in range(0, len(data), 4096):
        out.blocking_write_and_flush(data[at:at + 4096])
