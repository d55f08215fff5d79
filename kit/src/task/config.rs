use serde::{Deserialize, Serialize};

use crate::validate::{Validate, Violations};

/// The settings of background tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TasksConfig {
    /// The most tasks that run at a time. Default: 10 000, as many as a server has connections, so that calls can't fill the
    /// memory with what they leave behind.
    pub max_running: u64,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self { max_running: 10_000 }
    }
}

impl Validate for TasksConfig {
    fn validate(&self, report: &mut Violations) {
        report.require(self.max_running > 0, "max_running", "is 0: no task could run");
    }
}
