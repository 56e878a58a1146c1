//! What the laws are told with.
//!
//! | file | holds |
//! |---|---|
//! | `builder` | events, books and outcomes in one line each |
//! | `spec` | a scenario in plain numbers, from which domain and model are both built |
//! | `strategy` | random scenarios, small enough to collide and large enough to overflow |
//! | `model` | the independent model: big integers in maps |
//! | `rule` | rules that only tests need |

pub mod builder;
pub mod model;
pub mod rule;
pub mod spec;
pub mod strategy;
