//! The black-box side of AXS: real processes of the `bootstrap` binary, real servers, and a model
//! that says what must come out.
//!
//! Nothing here knows a crate of the product except the published contract (`axs-proto`) and, as
//! any program outside may, the client crate (`axs-client`). The model counts in plain big
//! integers and reads and prints decimals itself.
//!
//! | what | where |
//! |---|---|
//! | the servers of `make up`, or your own | [`server`] |
//! | the binary under test | [`binary`], [`process`] |
//! | a database, a topic, a key prefix, ports and processes of one test | [`deployment`] |
//! | the three stores looked at from outside | [`database`], [`topic`], [`cache`], [`ops`] |
//! | a client | [`client`] |
//! | waits that end, servers that come late | [`deadline`], [`gate`] |
//! | servers that are cut off, slow or tricked | [`proxy`] |
//! | what must come out | [`model`] |
//! | what goes in | [`session`], [`tape`] |
//! | both, compared | [`replay`], and the result topic: [`result`] |
//! | faults against promises | [`faults`] |

pub mod binary;
pub mod cache;
pub mod client;
pub mod database;
pub mod deadline;
pub mod deployment;
pub mod faults;
pub mod gate;
pub mod model;
pub mod ops;
pub mod port;
pub mod process;
pub mod proxy;
pub mod replay;
pub mod result;
pub mod script;
pub mod server;
pub mod session;
pub mod tape;
pub mod topic;
