// A command in Rust, as work to be measured: it counts the words of its input and how often each came.
use std::collections::BTreeMap;
use std::io::Read;

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("read the request");
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for word in input.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        *words.entry(word).or_default() += 1;
    }
    let most = words.iter().max_by_key(|(_, n)| **n).map(|(w, _)| *w).unwrap_or("");
    println!("Content-Type: text/plain\n\n{} {}", words.len(), most);
}
