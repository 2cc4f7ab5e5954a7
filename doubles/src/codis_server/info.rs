//! INFO: the lines by which a codis-server is known, and its databases.

use super::{DATABASES, State};

pub(crate) fn text(state: &mut State, port: u16) -> String {
    let mut lines = vec![
        "# Server".to_owned(),
        "redis_version:3.2.11".to_owned(),
        "redis_mode:standalone".to_owned(),
        format!("process_id:{}", std::process::id()),
        format!("tcp_port:{}", port),
        "# Memory".to_owned(),
        "used_memory:1048576".to_owned(),
        "maxmemory:0".to_owned(),
        "# Replication".to_owned(),
        "role:master".to_owned(),
        "connected_slaves:0".to_owned(),
        "# Keyspace".to_owned(),
    ];
    for database in 0..DATABASES {
        let (mut keys, mut ending) = (0, 0);
        state.store(database).keys().for_each(|(_, entry)| {
            keys += 1;
            ending += usize::from(entry.ends_ms.is_some());
        });
        if keys > 0 {
            lines.push(format!("db{database}:keys={keys},expires={ending},avg_ttl=0"));
        }
    }
    lines.push(String::new());
    lines.join("\r\n")
}
