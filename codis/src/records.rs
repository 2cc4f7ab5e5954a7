//! What Codis keeps in its coordinator (ZooKeeper, etcd, a folder), and what a dashboard tells: read to check a product and to take it over.
//! Only the dashboard writes the former, but for the node of jodis, which each proxy writes for its clients.

mod coordinator;
mod jodis;
mod topom;

pub use coordinator::{
    GroupRecord, Promotion, PromotionState, ServerAction, ServerActionState, ServerRecord,
    SlotAction, SlotRecord, SlotState, group_path, product_path, proxy_path, sentinel_path,
    slot_path, topom_path,
};
pub use jodis::{Compatible, JodisNode, jodis_path};
pub use topom::{
    DashboardConfig, GroupStats, Polled, Progress, ProxyStats, SlotActionStats, Topom, TopomGroups,
    TopomModel, TopomProxies, TopomStats, api_path,
};

/// Where all products are: one child a product.
pub const PRODUCTS_PATH: &str = "/codis3";
