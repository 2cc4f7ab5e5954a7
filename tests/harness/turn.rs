//! Who may run at the moment: tests share two cores, and one that measures must have them alone.

use std::sync::{Condvar, Mutex, PoisonError};

static RUNNING: Mutex<Running> = Mutex::new(Running { together: 0, alone: false, waiting: 0 });
static CHANGED: Condvar = Condvar::new();

#[derive(Debug)]
struct Running {
    together: usize,
    alone: bool,
    /// Those who want to be alone; nobody begins before them.
    waiting: usize,
}

/// How a test wants to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Beside others.
    Any,
    /// With no other cluster of this process beside it.
    Alone,
}

/// The right to run; given back when it is dropped. A test takes one at a time.
#[derive(Debug)]
pub struct Turn(Company);

impl Turn {
    /// Waits for it.
    pub fn take(company: Company) -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        match company {
            Company::Any => {
                let busy = |r: &mut Running| r.alone || r.waiting > 0;
                running = CHANGED.wait_while(running, busy).unwrap_or_else(PoisonError::into_inner);
                running.together += 1;
            }
            Company::Alone => {
                running.waiting += 1;
                let busy = |r: &mut Running| r.alone || r.together > 0;
                running = CHANGED.wait_while(running, busy).unwrap_or_else(PoisonError::into_inner);
                running.waiting -= 1;
                running.alone = true;
            }
        }
        drop(running);
        Self(company)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0 {
            Company::Any => running.together -= 1,
            Company::Alone => running.alone = false,
        }
        drop(running);
        CHANGED.notify_all();
    }
}
