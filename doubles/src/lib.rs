mod commands;
mod store;
