//! Where settings come from.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use kit::config::{ConfigError, Loaded, Loader, Validate};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Which of the two files is read: the variable `RUN_MODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunMode {
    /// `config/local.yaml`: on a developer's machine.
    #[default]
    Local,
    /// `config/container.yaml`: in a container.
    Container,
}

impl RunMode {
    /// The file of the mode, as it lies in the folder of a service.
    pub fn file(self) -> &'static str {
        match self {
            Self::Local => "config/local.yaml",
            Self::Container => "config/container.yaml",
        }
    }
}

/// The two variables that all services share.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Switches {
    run_mode: RunMode,
    migrate: Option<bool>,
}

/// Where a process finds its settings: passed in, so that tests bring their own.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Where `config/` and `.env` are looked for; empty for the working directory.
    pub folder: PathBuf,
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Surroundings {
    /// The working directory and the environment of this process.
    pub fn of_process() -> Self {
        Self { folder: PathBuf::new(), env: env::vars_os().collect() }
    }
}

/// The sources of a service's settings.
///
/// From the weakest to the strongest: the defaults in the program; one file; the variable `MIGRATE`; `.env` in the working
/// directory; the environment. The file is the one that the caller names; otherwise that of the [`RunMode`], looked for
/// in the working directory, then beside the sources of the service (while they are there), and at last inside the
/// program, so that a program that was copied somewhere starts too.
///
/// `MIGRATE=true` brings the schema up to date and enters the sample rows at the start, `MIGRATE=false` does neither,
/// whatever the file says.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What the service's variables begin with: `BOOKDETAILS`.
    pub prefix: &'static str,
    /// The folder of the service's sources, which has `config/`: `env!("CARGO_MANIFEST_DIR")`.
    pub folder: &'static str,
    /// The text of `config/local.yaml`.
    pub local: &'static str,
    /// The text of `config/container.yaml`.
    pub container: &'static str,
}

impl Settings {
    /// Loads and checks the settings.
    ///
    /// # Errors
    /// Everything that is wrong, each with its file and line, or its variable, and its key.
    pub fn load<T>(&self, file: Option<&Path>, surroundings: &Surroundings) -> Result<Loaded<T>, ConfigError>
    where
        T: Serialize + DeserializeOwned + Default + Validate,
    {
        let (mode, migrate) = switches(surroundings)?;
        let loader = Loader::new(self.prefix);
        let loader = match file.map(Path::to_owned).or_else(|| self.find(mode, surroundings)) {
            Some(file) => loader.file(file),
            None => self.built_in(mode, loader),
        };
        finish(loader, migrate, surroundings).load_validated()
    }

    /// Loads and checks the settings that are built into the program, changed by the environment alone.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_built_in<T>(&self, surroundings: &Surroundings) -> Result<Loaded<T>, ConfigError>
    where
        T: Serialize + DeserializeOwned + Default + Validate,
    {
        let (mode, migrate) = switches(surroundings)?;
        finish(self.built_in(mode, Loader::new(self.prefix)), migrate, surroundings).load_validated()
    }

    fn find(&self, mode: RunMode, surroundings: &Surroundings) -> Option<PathBuf> {
        let here = surroundings.folder.join(mode.file());
        let beside = Path::new(self.folder).join(mode.file());
        [here, beside].into_iter().find(|path| path.is_file())
    }

    fn built_in(&self, mode: RunMode, loader: Loader) -> Loader {
        let text = match mode {
            RunMode::Local => self.local,
            RunMode::Container => self.container,
        };
        loader.text(&format!("{} (built in)", mode.file()), text)
    }
}

/// Reads `RUN_MODE` and `MIGRATE`, the latter as settings with the name of its place.
fn switches(surroundings: &Surroundings) -> Result<(RunMode, Option<(String, String)>), ConfigError> {
    let ours = |name: &OsString| ["RUN_MODE", "MIGRATE"].iter().any(|one| name == one);
    let loaded: Loaded<Switches> = Loader::new("")
        .env_file(surroundings.folder.join(".env"))
        .env(surroundings.env.iter().filter(|(name, _)| ours(name)).cloned())
        .load()?;
    let place = loaded.settings().iter().find(|setting| setting.key() == "migrate");
    let place = place.map(|setting| setting.origin().to_string()).unwrap_or_default();
    let migrate = loaded.config.migrate.map(|on| (place, format!("database: {{migrate: {on}, seed: {on}}}")));
    Ok((loaded.config.run_mode, migrate))
}

fn finish(loader: Loader, migrate: Option<(String, String)>, surroundings: &Surroundings) -> Loader {
    let loader = match migrate {
        Some((place, yaml)) => loader.text(&place, yaml),
        None => loader,
    };
    loader.env_file(surroundings.folder.join(".env")).env(surroundings.env.iter().cloned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kit::{config::Violations, sql::testing::Folder};

    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        name: String,
        database: Database,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Database {
        migrate: bool,
        seed: bool,
    }

    impl Validate for Config {
        fn validate(&self, report: &mut Violations) {
            report.require(!self.name.is_empty(), "name", "must be set");
        }
    }

    const SETTINGS: Settings = Settings {
        prefix: "APP",
        folder: "/nowhere",
        local: "name: inside\ndatabase: {migrate: true, seed: true}",
        container: "name: inside a container",
    };

    fn surroundings(folder: &Folder, env: &[(&str, &str)]) -> Surroundings {
        fs::create_dir_all(folder.path("config")).unwrap();
        Surroundings { folder: folder.path(""), env: env.iter().map(|(n, v)| (n.into(), v.into())).collect() }
    }

    fn load(folder: &Folder, env: &[(&str, &str)]) -> Loaded<Config> {
        SETTINGS.load(None, &surroundings(folder, env)).unwrap()
    }

    #[test]
    fn a_lone_program_has_what_is_inside_it() {
        let folder = Folder::new();
        assert_eq!(load(&folder, &[]).config.name, "inside");
        assert_eq!(load(&folder, &[("RUN_MODE", "container")]).config.name, "inside a container");
        let loaded = load(&folder, &[]);
        assert!(loaded.print().contains("config/local.yaml (built in):1"), "{loaded}");
    }

    #[test]
    fn the_nearest_file_is_taken_and_the_environment_is_stronger() {
        let folder = Folder::new();
        let around = surroundings(&folder, &[]);
        fs::write(folder.path("config/local.yaml"), "name: file").unwrap();
        fs::write(folder.path("config/container.yaml"), "name: container").unwrap();
        fs::write(folder.path("other.yaml"), "name: other").unwrap();
        assert_eq!(load(&folder, &[]).config.name, "file");
        assert_eq!(load(&folder, &[("APP_NAME", "env")]).config.name, "env");
        assert_eq!(SETTINGS.load::<Config>(Some(&folder.path("other.yaml")), &around).unwrap().config.name, "other");
        assert_eq!(SETTINGS.load_built_in::<Config>(&around).unwrap().config.name, "inside");
        fs::write(folder.path(".env"), "RUN_MODE=container\nAPP_DATABASE_SEED=yes\nOTHER=1\n").unwrap();
        let loaded = load(&folder, &[]);
        assert_eq!((loaded.config.name.as_str(), loaded.config.database.seed), ("container", true));
        assert_eq!(load(&folder, &[("RUN_MODE", "local")]).config.name, "file");
    }

    #[test]
    fn migrate_is_a_switch_for_schema_and_samples() {
        let folder = Folder::new();
        let off = load(&folder, &[("MIGRATE", "false")]);
        assert!(!off.config.database.migrate && !off.config.database.seed);
        assert!(off.print().contains("env MIGRATE"), "{off}");
        let on = load(&folder, &[("MIGRATE", "true"), ("RUN_MODE", "container")]);
        assert!(on.config.database.migrate && on.config.database.seed);
        let own = load(&folder, &[("MIGRATE", "true"), ("APP_DATABASE_SEED", "false")]);
        assert!(own.config.database.migrate && !own.config.database.seed);
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let folder = Folder::new();
        fs::create_dir_all(folder.path("config")).unwrap();
        fs::write(folder.path("config/local.yaml"), "name: a\ndatabase:\n  migrat: true\n").unwrap();
        let error = |env| SETTINGS.load::<Config>(None, &surroundings(&folder, env)).unwrap_err().to_string();
        assert!(error(&[]).contains("config/local.yaml:3:3: database.migrat: "), "{}", error(&[]));
        let mode = error(&[("RUN_MODE", "prod")]);
        assert!(mode.contains("env RUN_MODE") && mode.contains("`local` or `container`"), "{mode}");
        let switch = error(&[("MIGRATE", "perhaps")]);
        assert!(switch.contains("env MIGRATE"), "{switch}");
        let missing = SETTINGS.load::<Config>(Some(Path::new("/no.yaml")), &Surroundings::default()).unwrap_err();
        assert!(missing.to_string().contains("/no.yaml"), "{missing}");
    }
}
