//! The work kv of benchmarks/work, as a component of its own: not all that run wasi:http offer wasi:keyvalue.
use std::io::Write;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

wit_bindgen::generate!({
    inline: r#"
        package sett:count;

        world main {
            import wasi:keyvalue/store@0.2.0-draft2;
        }

        // What is used of wasi:keyvalue.
        package wasi:keyvalue@0.2.0-draft2 {
            interface store {
                variant error { no-such-store, access-denied, other(string) }
                resource bucket {
                    get: func(key: string) -> result<option<list<u8>>, error>;
                    set: func(key: string, value: list<u8>) -> result<_, error>;
                }
                open: func(identifier: string) -> result<bucket, error>;
            }
        }
    "#,
    generate_all,
});

struct Function;

wasip2::http::proxy::export!(Function);

impl Guest for Function {
    /// Reads the number of a path and writes one larger.
    fn handle(request: IncomingRequest, reply: ResponseOutparam) {
        let key = request.path_with_query().unwrap_or_default().replace('/', ".");
        let bucket = wasi::keyvalue::store::open("default").unwrap();
        let value = bucket.get(&key).unwrap().unwrap_or_default();
        let number: u64 = str::from_utf8(&value).unwrap().parse().unwrap_or(0);
        let next = (number + 1).to_string();
        bucket.set(&key, next.as_bytes()).unwrap();
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().unwrap();
        ResponseOutparam::set(reply, Ok(response));
        let mut out = body.write().unwrap();
        out.write_all(next.as_bytes()).unwrap();
        drop(out);
        OutgoingBody::finish(body, None).unwrap();
    }
}
