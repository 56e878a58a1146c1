//! A new migration file must reach the compiled-in list: cargo looks at the folder for it.

#[expect(clippy::print_stdout, reason = "cargo reads instructions there")]
fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
