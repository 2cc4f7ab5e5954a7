//! Commands of Redis Cluster: one line each.

use super::prelude::*;

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    cmd("asking", 1, FAST | CONNECTION, Refused(CLUSTER)).acl(&["@fast", "@connection"]).docs("3.0.0", "O(1)", "Sent by cluster clients after an -ASK redirect"),
    cmd("cluster", -2, ADMIN, Refused(CLUSTER)).docs("3.0.0", "Depends on subcommand.", "A container for cluster commands").subs(&[
        sub("addslots", -3, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(N) where N is the total number of hash slot arguments", "Assign new hash slots to receiving node"),
        sub("addslotsrange", -4, ADMIN | STALE | NO_ASYNC_LOADING).docs("7.0.0", "O(N) where N is the total number of the slots between the start slot and end slot arguments.", "Assign new hash slots to receiving node"),
        sub("bumpepoch", 2, ADMIN | STALE | NO_ASYNC_LOADING).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(1)", "Advance the cluster config epoch"),
        sub("count-failure-reports", 3, ADMIN | STALE).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(N) where N is the number of failure reports", "Return the number of failure reports active for a given node"),
        sub("countkeysinslot", 3, STALE).docs("3.0.0", "O(1)", "Return the number of local keys in the specified hash slot"),
        sub("delslots", -3, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(N) where N is the total number of hash slot arguments", "Set hash slots as unbound in receiving node"),
        sub("delslotsrange", -4, ADMIN | STALE | NO_ASYNC_LOADING).docs("7.0.0", "O(N) where N is the total number of the slots between the start slot and end slot arguments.", "Set hash slots as unbound in receiving node"),
        sub("failover", -2, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Forces a replica to perform a manual failover of its master."),
        sub("flushslots", 2, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Delete a node's own slots information"),
        sub("forget", 3, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Remove a node from the nodes table"),
        sub("getkeysinslot", 4, STALE).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(log(N)) where N is the number of requested keys", "Return local key names in the specified hash slot"),
        sub("help", 2, LOADING | STALE).docs("5.0.0", "O(1)", "Show helpful text about the different subcommands"),
        sub("info", 2, STALE).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(1)", "Provides info about Redis Cluster node state"),
        sub("keyslot", 3, STALE).docs("3.0.0", "O(N) where N is the number of bytes in the key", "Returns the hash slot of the specified key"),
        sub("links", 2, STALE).tips(&[NONDETERMINISTIC]).docs("7.0.0", "O(N) where N is the total number of Cluster nodes", "Returns a list of all TCP links to and from peer nodes in cluster"),
        sub("meet", -4, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Force a node cluster to handshake with another node"),
        sub("myid", 2, STALE).docs("3.0.0", "O(1)", "Return the node id"),
        sub("nodes", 2, STALE).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(N) where N is the total number of Cluster nodes", "Get Cluster config for the node"),
        sub("replicas", 3, ADMIN | STALE).tips(&[NONDETERMINISTIC]).docs("5.0.0", "O(1)", "List replica nodes of the specified master node"),
        sub("replicate", 3, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Reconfigure a node as a replica of the specified master node"),
        sub("reset", -2, ADMIN | NOSCRIPT | STALE).docs("3.0.0", "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.", "Reset a Redis Cluster node"),
        sub("saveconfig", 2, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Forces the node to save cluster state on disk"),
        sub("set-config-epoch", 3, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Set the configuration epoch in a new node"),
        sub("setslot", -4, ADMIN | STALE | NO_ASYNC_LOADING).docs("3.0.0", "O(1)", "Bind a hash slot to a specific node"),
        sub("shards", 2, STALE).tips(&[NONDETERMINISTIC]).docs("7.0.0", "O(N) where N is the total number of cluster nodes", "Get array of cluster slots to node mappings"),
        sub("slaves", 3, ADMIN | STALE).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(1)", "List replica nodes of the specified master node"),
        sub("slots", 2, STALE).tips(&[NONDETERMINISTIC]).docs("3.0.0", "O(N) where N is the total number of Cluster nodes", "Get array of Cluster slot to node mappings"),
    ]),
    cmd("readonly", 1, LOADING | STALE | FAST | CONNECTION, Refused(CLUSTER)).acl(&["@fast", "@connection"]).docs("3.0.0", "O(1)", "Enables read queries for a connection to a cluster replica node"),
    cmd("readwrite", 1, LOADING | STALE | FAST | CONNECTION, Refused(CLUSTER)).acl(&["@fast", "@connection"]).docs("3.0.0", "O(1)", "Disables read queries for a connection to a cluster replica node"),
];
