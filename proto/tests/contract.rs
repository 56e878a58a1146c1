//! The contract keeps the rules that buf calls STANDARD, and documents every element.

#[cfg(test)]
mod lint;
