//! What all threads of a node share.

use crate::clients::Clients;
use crate::config::Config;
use crate::cursors::Cursors;
use crate::disk::Disk;
use crate::engine::{Batch, Engine, EngineError, Tuning};
use crate::error::{CommandError, Error};
use crate::settings::Settings;
use crate::slots::{Cell, SlotInner, Slots};
use crate::slowlog::Slowlog;
use crate::stats::Stats;
use crate::transfer::{Introduction, Transfers};
use crate::versions::Versions;
use crate::wal::Wal;
use cluster::{Epoch, Slot, SlotCount, Token};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;

/// The key of the node's own record.
const NODE: &[u8] = b"n";

/// Who says where this node's slots go. On disk; the first who speaks is it, and words of another are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// Nobody yet: a plain server.
    #[default]
    None,
    /// A codis-dashboard; the nodes open migrations themselves.
    Codis,
    /// Our controller.
    Slipway,
}

impl Driver {
    /// As words and pages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Codis => "codis",
            Self::Slipway => "slipway",
        }
    }
}

/// Who this node is; on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The format of the data directory: [`crate::encoding::FORMAT`].
    pub format: u32,
    pub slot_count: SlotCount,
    /// Made with the data directory: 40 hex digits.
    pub node_id: String,
    /// The cluster that has claimed this node.
    pub cluster: Option<String>,
    /// The group it is in.
    pub group: Option<String>,
    #[serde(default)]
    pub driver: Driver,
}

/// One node.
#[derive(Debug)]
pub struct Shared {
    pub config: Config,
    pub engine: Arc<Engine>,
    pub wal: Arc<Wal>,
    pub slots: Slots,
    pub versions: Versions,
    pub cursors: Cursors,
    pub clients: Clients,
    pub settings: Settings,
    pub stats: Stats,
    pub slowlog: Slowlog,
    pub disk: Arc<Disk>,
    pub identity: RwLock<Identity>,
    /// New at each start: 32 hex digits.
    pub boot_id: String,
    pub(crate) transfers: Transfers,
    /// Where tasks of the node itself, and blocking work, run.
    pub background: Handle,
}

impl Shared {
    /// Opens the data directory. The thread ends after [`Wal::stop`].
    pub(crate) fn open(
        config: Config,
        background: Handle,
    ) -> Result<(Arc<Self>, JoinHandle<()>), Error> {
        config.check()?;
        std::fs::create_dir_all(&config.data)
            .map_err(|error| {
            Error::Data(format!(
                "cannot make the data directory {}: {error}; choose another, or let this user write there",
                config.data.display()
            ))
        })?;
        let tuning = Tuning {
            memory_bytes: config.memory_bytes,
            open_files_max: i32::try_from(config.open_files_max).unwrap_or(i32::MAX),
            background_jobs: i32::try_from(config.background_jobs).unwrap_or(2),
        };
        let engine = Arc::new(Engine::open(&config.data, &tuning)?);
        let identity = load_identity(&engine, &config)?;
        let versions = Versions::load(engine.clone())?;
        let (wal, thread) = Wal::start(engine.clone(), config.wal_sync)
            .map_err(|source| Error::Io { what: "cannot start a thread", source })?;
        let slots = match Slots::load(engine.clone(), wal.clone(), &config) {
            Ok(slots) => slots,
            Err(error) => {
                wal.stop();
                return Err(error.into());
            }
        };
        let disk = Arc::new(Disk::new(config.data.clone(), config.disk_reserve_bytes));
        let introduction = Introduction {
            name: identity.node_id.clone(),
            slot_count: config.slot_count.get(),
            password: config.password.clone(),
            connect_timeout: Duration::from_secs(1),
        };
        let transfers = Transfers::start(config.transfer.clone(), introduction)
            .map_err(|source| Error::Io { what: "cannot start a thread", source })?;
        let shared = Self {
            cursors: Cursors::new(config.cursor_bytes_max),
            clients: Clients::new(config.clients_max),
            settings: Settings::new(&config),
            stats: Stats::new(config.workers),
            slowlog: Slowlog::default(),
            boot_id: format!("{:032x}", rand::random::<u128>()),
            identity: RwLock::new(identity),
            transfers,
            config,
            engine,
            wal,
            slots,
            versions,
            disk,
            background,
        };
        Ok((Arc::new(shared), thread))
    }

    /// One slot's cell.
    pub fn slot(&self, slot: Slot) -> &Cell {
        self.slots.cell(slot)
    }

    /// How many slots the cluster has.
    pub fn slot_count(&self) -> SlotCount {
        self.slots.count()
    }

    /// This node's clock, in milliseconds since 1970.
    pub fn clock_ms(&self) -> u64 {
        crate::slots::now_ms()
    }

    /// Writes the slot's record. The caller holds the slot's lock.
    pub fn put_record(&self, slot: Slot, inner: &SlotInner) -> Result<(), EngineError> {
        self.slots.put_record(slot, inner)
    }

    /// Waits until everything written so far survives the loss of power.
    pub async fn sync(&self) -> Result<(), EngineError> {
        self.wal.sync().await
    }

    /// Tells the links that wait for the slot that it is served here (again).
    pub fn push_open(&self, slot: Slot) {
        self.slot(slot).push(&crate::link::open_push(slot));
    }

    /// Tells the links that wait for the slot where it is now.
    pub fn push_moved(&self, slot: Slot, epoch: Epoch, addr: &str, token: Option<Token>) {
        self.slot(slot).push(&crate::link::moved_push(slot, epoch, addr, token));
    }

    /// Keeps a changed identity. The caller syncs before it tells anybody.
    pub fn put_identity(&self, identity: Identity) -> Result<(), EngineError> {
        let mut kept = self.identity.write();
        write_identity(&self.engine, &identity)?;
        self.wal.wrote();
        *kept = identity;
        Ok(())
    }

    /// Who says where this node's slots go.
    pub fn driver(&self) -> Driver {
        self.identity.read().driver
    }

    /// A codis-dashboard, or a node that one speaks to, has spoken: from now on nobody else does. Returns whether that is news, which the caller
    /// syncs before it goes on.
    pub fn driven_by_codis(&self) -> Result<bool, CommandError> {
        let mut kept = self.identity.write();
        match kept.driver {
            Driver::Codis => return Ok(false),
            Driver::Slipway => {
                return Err(format!(
                    "ERR this node is driven by the controller of cluster {}, not by a codis-dashboard: move the slot with `slipway migrate`, or give the node up with `SLIPWAY DRIVER codis`",
                    kept.cluster.as_deref().unwrap_or("-")
                )
                .into());
            }
            Driver::None => {}
        }
        let next = Identity { driver: Driver::Codis, ..kept.clone() };
        write_identity(&self.engine, &next)?;
        self.wal.wrote();
        *kept = next;
        Ok(true)
    }
}

fn load_identity(engine: &Engine, config: &Config) -> Result<Identity, Error> {
    let Some(bytes) = engine.record(NODE)? else {
        let identity = Identity {
            format: crate::encoding::FORMAT,
            slot_count: config.slot_count,
            node_id: format!("{:032x}{:08x}", rand::random::<u128>(), rand::random::<u32>()),
            cluster: None,
            group: None,
            driver: Driver::None,
        };
        write_identity(engine, &identity)?;
        engine.sync_wal()?;
        return Ok(identity);
    };
    let path = config.data.display();
    // The format first: a later one may have other fields.
    let format =
        serde_json::from_slice::<serde_json::Value>(&bytes).ok().and_then(|v| v["format"].as_u64());
    if format != Some(u64::from(crate::encoding::FORMAT)) {
        let format = format.map_or_else(|| "unknown".to_owned(), |f| f.to_string());
        let ours = crate::encoding::FORMAT;
        return Err(Error::Data(format!(
            "{path} was written in format {format}, this program reads format {ours}: use the program that wrote it, or an empty directory"
        )));
    }
    let mut identity: Identity = serde_json::from_slice(&bytes).map_err(|e| {
        Error::Data(format!(
            "the node record in {path} is damaged ({e}): restore the directory from a copy"
        ))
    })?;
    if identity.cluster.is_some() {
        identity.driver = Driver::Slipway;
    }
    if identity.slot_count != config.slot_count {
        return Err(Error::Data(format!(
            "{path} was made for {} slots and the configuration says {}: the number cannot change, choose another directory or set slot_count = {}",
            identity.slot_count.get(),
            config.slot_count.get(),
            identity.slot_count.get()
        )));
    }
    Ok(identity)
}

fn write_identity(engine: &Engine, identity: &Identity) -> Result<(), EngineError> {
    let bytes = serde_json::to_vec(identity).map_err(|e| EngineError::Broken(e.to_string()))?;
    let mut batch = Batch::default();
    engine.put_record(&mut batch, NODE, &bytes)?;
    engine.write(&batch)
}
