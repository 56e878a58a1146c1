mod accounts;
mod balances;
mod cancellation;
mod currencies;
mod event;
mod harness;
mod server;
mod submit;
