//! The works of benchmarks/work that keep no state, as a wasi:http component that Sett and others run.
use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Function;

wasip2::http::proxy::export!(Function);

impl Guest for Function {
    fn handle(request: IncomingRequest, reply: ResponseOutparam) {
        match request.path_with_query().unwrap_or_default().as_str() {
            "/hello" => send(reply, "text/plain", b"hello, world\n"),
            "/json" => send(reply, "application/json", &inspect(request.method(), &request.headers())),
            _ => send(reply, "text/plain", digest(request).as_bytes()),
        }
    }
}

/// What was found in a request's headers.
#[derive(Serialize)]
struct Inspected {
    method: String,
    accept: String,
    agent: String,
    signed: bool,
    session: String,
    items: Vec<String>,
}

fn inspect(method: Method, headers: &Fields) -> Vec<u8> {
    let header = |name: &str| headers.get(name).into_iter().next().and_then(|v| String::from_utf8(v).ok()).unwrap_or_default();
    let session = header("cookie").split(';').find_map(|c| c.trim().strip_prefix("session=").map(str::to_owned)).unwrap_or_default();
    let inspected = Inspected {
        method: match method {
            Method::Get => "GET".to_owned(),
            other => format!("{other:?}"),
        },
        accept: header("accept"),
        agent: header("user-agent"),
        signed: header("authorization").starts_with("Bearer "),
        session,
        items: (0..32).map(|i| format!("item {i:02} abcdefghijklmnopqrstuvwx")).collect(),
    };
    serde_json::to_vec(&inspected).unwrap()
}

fn digest(request: IncomingRequest) -> String {
    let mut hash = Sha256::new();
    let body = request.consume().unwrap();
    let stream = body.stream().unwrap();
    while let Ok(piece) = stream.blocking_read(64 << 10) {
        hash.update(piece); // until the stream is closed
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn send(reply: ResponseOutparam, kind: &str, text: &[u8]) {
    let headers = Fields::from_list(&[("content-type".into(), kind.into()), ("content-length".into(), text.len().to_string().into())]).unwrap();
    let response = OutgoingResponse::new(headers);
    let body = response.body().unwrap();
    ResponseOutparam::set(reply, Ok(response));
    let mut out = body.write().unwrap();
    out.write_all(text).unwrap();
    drop(out);
    OutgoingBody::finish(body, None).unwrap();
}
