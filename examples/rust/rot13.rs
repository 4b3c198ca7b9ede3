//! rot13 turns the letters of a request's body by thirteen places. A command module: CGI/1.1, no crates.
use std::env;
use std::io::{self, Read, Write};

fn rot13(c: u8) -> u8 {
    match c {
        b'a'..=b'z' => (c - b'a' + 13) % 26 + b'a',
        b'A'..=b'Z' => (c - b'A' + 13) % 26 + b'A',
        _ => c,
    }
}

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    if env::var("REQUEST_METHOD").as_deref() != Ok("POST") {
        return out.write_all(b"Status: 405 Method Not Allowed\nAllow: POST\nContent-Type: text/plain\n\nPOST a text\n");
    }
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?; // an error goes to the function's log, the client gets 502
    body.iter_mut().for_each(|c| *c = rot13(*c));
    let kind = env::var("CONTENT_TYPE").unwrap_or_else(|_| "application/octet-stream".to_string());
    write!(out, "Content-Type: {}\n\n", kind)?;
    out.write_all(&body)
}
