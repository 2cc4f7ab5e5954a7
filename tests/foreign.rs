//! A proxy of ours in front of Pika and codis-server, by their doubles, and a dashboard that does what dashboards do.

mod back;
mod codis_server;
mod moves;
mod own;
mod refusals;
mod troubles;
mod untracked;
mod upgrade;
mod world;
