//! The wiring: five shaku modules, each seeing only the ones before it.
//!
//! | layer | module | holds |
//! |---|---|---|
//! | 1 Config | [`config::ConfigModule`] | the settings, and who this process is |
//! | 2 Infra | [`infra::InfraModule`] | connections, the producer, the reader, clock, ids, codec |
//! | 3 Repo | [`repo::RepoModule`] | every port that stores or reads something |
//! | 4 Service | [`service::ServiceModule`] | the use cases |
//! | 5 Api | [`api::ApiModule`] | the gRPC service |
//!
//! Every component is lazy: it is built when a command's root first asks for it, so a command
//! builds what it uses and nothing else. What must exist before the graph, because making it can
//! fail or starts a thread, stands in [`clients::Clients`], and each root makes just those it
//! needs. Building them contacts no server.

pub mod api;
pub mod clients;
pub mod config;
pub mod infra;
pub mod layers;
pub mod repo;
pub mod rules;
pub mod service;

#[cfg(test)]
mod tests;
