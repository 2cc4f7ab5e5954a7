//! A proxy of ours in the place of codis-proxy, our nodes in the place of codis-server, and a dashboard that does what dashboards do.

mod adopt;
mod handshakes;
mod hostile;
mod moves;
mod operations;
mod replicas;
mod routes;
mod troubles;
