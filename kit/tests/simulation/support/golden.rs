//! Plots that a person has looked at.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::plot::Plot;

/// What a run looks like.
#[must_use]
pub(crate) struct Golden {
    svg: String,
    /// Where it is kept beside the build, to be looked at when something is wrong.
    here: PathBuf,
    known: PathBuf,
}

impl Golden {
    pub(crate) fn draw(name: &str, plot: &Plot) -> Self {
        let svg = plot.svg();
        let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.svg"));
        fs::write(&here, &svg).unwrap();
        let known = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/resilience/simulation/{name}.svg"));
        Self { svg, here, known }
    }

    /// Compares it with the one in the documentation, which `KIT_BLESS=1` writes anew.
    pub(crate) fn compare(self) {
        if std::env::var_os("KIT_BLESS").is_some() {
            fs::create_dir_all(self.known.parent().unwrap()).unwrap();
            fs::write(&self.known, &self.svg).unwrap();
        }
        let known = fs::read_to_string(&self.known).unwrap_or_default();
        assert!(
            known == self.svg,
            "the layers behave in another way than {} shows; this run is in {}; KIT_BLESS=1 writes it anew: then look at it, and at \
             the figures in simulation.md",
            self.known.display(),
            self.here.display(),
        );
    }
}
