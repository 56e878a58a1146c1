//! A new migration file must reach the compiled-in list: cargo looks at the folder for it.

fn main() {
    println!("cargo::rerun-if-changed=../migrations");
}
