//! predixy over plain servers, a group each.

use super::{Alone, Ground, Started};
use anyhow::Result;
use std::path::Path;

pub(super) fn start(ground: &Ground, program: &Path) -> Result<Started> {
    let alone = Alone::new()?;
    let group = |(number, addr): (usize, &String)| {
        format!("    Group g{number} {{\n        + {addr}\n    }}\n")
    };
    let groups: String = ground.addrs().iter().enumerate().map(group).collect();
    let text = format!(
        "Name Bench\nBind {}\nWorkerThreads {}\nClientTimeout 0\nLog {}\n\
         LogVerbSample 0\nLogDebugSample 0\nLogInfoSample 0\nLogNoticeSample 0\nLogWarnSample 1\nLogErrorSample 1\n\
         StandaloneServerPool {{\n    Databases 1\n    Hash crc16\n    Distribution modula\n    \
         RefreshMethod fixed\n    ServerFailureLimit 10\n    ServerRetryTimeout 1\n{groups}}}\n",
        alone.addr(),
        ground.workers,
        alone.directory.path().join("predixy-words.log").display(),
    );
    let file = alone.write("predixy.conf", &text)?;
    Ok(alone.run(program, &[&file], Some(ground)))
}
