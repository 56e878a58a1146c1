//! What deciding costs by itself.

fn main() {}
