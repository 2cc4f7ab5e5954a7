//! The node by which clients find a proxy.

use crate::model::Model;
use serde::{Deserialize, Serialize};

/// Its content; clients take `addr` where `state` is `online`. Keys are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JodisNode {
    pub addr: String,
    pub admin: String,
    pub start: String,
    pub state: String,
    pub token: String,
}

impl JodisNode {
    /// Of a proxy that serves.
    pub fn online(model: &Model) -> Self {
        Self {
            addr: model.proxy_addr.clone(),
            admin: model.admin_addr.clone(),
            start: model.start_time.clone(),
            state: "online".to_owned(),
            token: model.token.clone(),
        }
    }
}

/// Where it is. `compatible`: where clients of Codis 2 look.
pub fn jodis_path(product: &str, token: &str, compatible: Compatible) -> String {
    match compatible {
        Compatible::No => format!("/jodis/{product}/proxy-{token}"),
        Compatible::Codis2 => format!("/zk/codis/db_{product}/proxy/{token}"),
    }
}

/// `jodis_compatible`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compatible {
    No,
    Codis2,
}

impl From<bool> for Compatible {
    fn from(is: bool) -> Self {
        if is { Self::Codis2 } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::pretty;

    #[test]
    fn the_node_is_what_jodis_reads() {
        let model = Model {
            token: "15fba3007f3c6ee0887749681cb82307".to_owned(),
            start_time: "2018-11-05 12:00:00.123456789 +0800 CST".to_owned(),
            admin_addr: "10.0.0.5:11080".to_owned(),
            proxy_addr: "10.0.0.5:19000".to_owned(),
            ..Model::default()
        };
        let want = r#"{
    "addr": "10.0.0.5:19000",
    "admin": "10.0.0.5:11080",
    "start": "2018-11-05 12:00:00.123456789 +0800 CST",
    "state": "online",
    "token": "15fba3007f3c6ee0887749681cb82307"
}"#;
        assert_eq!(pretty(&JodisNode::online(&model)), want);
    }

    #[test]
    fn both_paths_are_known() {
        assert_eq!(jodis_path("demo", "t", false.into()), "/jodis/demo/proxy-t");
        assert_eq!(jodis_path("demo", "t", true.into()), "/zk/codis/db_demo/proxy/t");
    }
}
