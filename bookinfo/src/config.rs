//! The settings of the two services.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use bookcommon::Surroundings;
use kit::{
    config::{ConfigError, Loaded},
    debug::ConfigEntry,
};

/// How the log of details is called in its own settings.
const DETAILS_LOG: &str = "runtime/bookdetails.log";

/// The settings of the two services.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Of the details service.
    pub details: bookdetails::config::Config,
    /// Of the comments service.
    pub comments: bookcomments::config::Config,
    /// Where the settings of details come from, for its debug port.
    pub(crate) details_shown: Vec<ConfigEntry>,
    /// The same of comments.
    pub(crate) comments_shown: Vec<ConfigEntry>,
}

impl Config {
    /// Those that are built into the two programs, changed by `.env` and the environment (`BOOKDETAILS_...`,
    /// `BOOKCOMMENTS_...`, `MIGRATE`) alone. There are no pid files, and one log, that of details: this is one process.
    ///
    /// # Errors
    /// Everything that is wrong, each with its variable and its key.
    pub fn load(surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let details: Loaded<bookdetails::config::Config> = bookdetails::config::SETTINGS.load_built_in(surroundings)?;
        let comments: Loaded<bookcomments::config::Config> =
            bookcomments::config::SETTINGS.load_built_in(surroundings)?;
        let mut config = Self {
            details_shown: details.settings().iter().map(ConfigEntry::from).collect(),
            comments_shown: comments.settings().iter().map(ConfigEntry::from).collect(),
            details: details.config,
            comments: comments.config,
        };
        (config.details.pid_file, config.comments.pid_file) = (None, None);
        for shown in [&mut config.details_shown, &mut config.comments_shown] {
            show(shown, "pid_file", "null".to_owned(), "there is one process");
        }
        // Both are in it, so it has the name of neither, unless it was given one.
        if let Some(path) = config.details.log.file.path.as_mut().filter(|path| path.ends_with(DETAILS_LOG)) {
            path.set_file_name("bookinfo.log");
            show(&mut config.details_shown, "log.file.path", format!("{path:?}"), "there is one process");
        }
        Ok(config)
    }

    /// Serves everything on one address; so the port is best 0, which takes a free one for each.
    pub fn listen_on(&mut self, addr: SocketAddr) {
        self.addresses().for_each(|one| *one = addr);
        self.details.telemetry.listen_on(addr);
        self.comments.telemetry.listen_on(addr);
    }

    /// Serves on another interface, on the same ports. Figures and debug ports stay where they are: on the loopback unless they
    /// are configured.
    pub fn listen_at(&mut self, host: IpAddr) {
        self.addresses().for_each(|one| one.set_ip(host));
        for (shown, addr) in [
            (&mut self.details_shown, [self.details.http_addr, self.details.grpc_addr]),
            (&mut self.comments_shown, [self.comments.http_addr, self.comments.grpc_addr]),
        ] {
            for (key, addr) in ["http_addr", "grpc_addr"].into_iter().zip(addr) {
                show(shown, key, format!("{:?}", addr.to_string()), "--host");
            }
        }
    }

    /// Keeps both databases as SQLite files in a folder.
    pub fn keep_in(&mut self, folder: &Path) {
        self.details.database.url = sqlite(&folder.join("details.db"));
        self.comments.database.url = sqlite(&folder.join("comments.db"));
        for (shown, url) in [
            (&mut self.details_shown, &self.details.database.url),
            (&mut self.comments_shown, &self.comments.database.url),
        ] {
            show(shown, "database.url", format!("{url:?}"), "--data-dir");
        }
    }

    fn addresses(&mut self) -> impl Iterator<Item = &mut SocketAddr> {
        let Self { details, comments, .. } = self;
        [&mut details.http_addr, &mut details.grpc_addr, &mut comments.http_addr, &mut comments.grpc_addr].into_iter()
    }
}

/// Corrects what is shown of a setting that was changed after it was loaded.
fn show(shown: &mut [ConfigEntry], key: &str, value: String, origin: &str) {
    if let Some(entry) = shown.iter_mut().find(|entry| entry.key == key) {
        (entry.value, entry.origin) = (value, origin.to_owned());
    }
}

/// The URL of a file, whose name may have characters that mean something in a URL.
fn sqlite(file: &Path) -> String {
    let path = file.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_to_be_set() {
        let nowhere = Surroundings { folder: "/nowhere".into(), env: Vec::new() };
        let mut config = Config::load(&nowhere).unwrap();
        let ports: Vec<u16> = config.addresses().map(|addr| addr.port()).collect();
        assert_eq!(ports, [5001, 5002, 5011, 5012]);
        assert!(config.details.database.migrate && config.comments.database.seed);
        assert_eq!((&config.details.pid_file, &config.comments.pid_file), (&None, &None));
        assert_eq!(config.details.log.file.path.as_deref(), Some(Path::new("runtime/bookinfo.log")));
        config.listen_at("0.0.0.0".parse().unwrap());
        assert_eq!(config.details.grpc_addr, "0.0.0.0:5002".parse().unwrap());
    }

    #[test]
    fn any_folder_will_do() {
        let mut config = Config::default();
        config.keep_in(Path::new("/tmp/50% of #1?"));
        assert_eq!(config.comments.database.url, "sqlite:///tmp/50%25 of %231%3F/comments.db");
    }
}
