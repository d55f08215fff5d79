//! The settings of the two services.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use bookcommon::Surroundings;
use kit::config::ConfigError;

/// The settings of the two services.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Of the details service.
    pub details: bookdetails::config::Config,
    /// Of the comments service.
    pub comments: bookcomments::config::Config,
}

impl Config {
    /// Those that are built into the two programs, changed by `.env` and the environment (`BOOKDETAILS_...`,
    /// `BOOKCOMMENTS_...`, `MIGRATE`) alone. There are no pid files: this is one process.
    ///
    /// # Errors
    /// Everything that is wrong, each with its variable and its key.
    pub fn load(surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let mut details: bookdetails::config::Config =
            bookdetails::config::SETTINGS.load_built_in(surroundings)?.config;
        let mut comments: bookcomments::config::Config =
            bookcomments::config::SETTINGS.load_built_in(surroundings)?.config;
        (details.pid_file, comments.pid_file) = (None, None);
        Ok(Self { details, comments })
    }

    /// Serves everything on one address; so the port is best 0, which takes a free one for each.
    pub fn listen_on(&mut self, addr: SocketAddr) {
        self.addresses().for_each(|one| *one = addr);
    }

    /// Serves on another interface, on the same ports.
    pub fn listen_at(&mut self, host: IpAddr) {
        self.addresses().for_each(|one| one.set_ip(host));
    }

    /// Keeps both databases as SQLite files in a folder.
    pub fn keep_in(&mut self, folder: &Path) {
        self.details.database.url = sqlite(&folder.join("details.db"));
        self.comments.database.url = sqlite(&folder.join("comments.db"));
    }

    fn addresses(&mut self) -> impl Iterator<Item = &mut SocketAddr> {
        let Self { details, comments } = self;
        [&mut details.http_addr, &mut details.grpc_addr, &mut comments.http_addr, &mut comments.grpc_addr].into_iter()
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
