//! Laws that hold across the units of the domain: tables, and properties against a model that
//! shares no code with it.

#[cfg(test)]
mod law;
#[cfg(test)]
mod support;
