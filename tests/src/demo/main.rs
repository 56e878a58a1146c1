//! AXS.
fn main() {}
