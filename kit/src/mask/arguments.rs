//! Hides secrets on the command line of a program.

use std::ffi::OsString;

use super::{MASK, Mask};

impl Mask {
    /// The arguments of a program as they may be shown: `--password x`, `--password=x`, `TOKEN=x` and all names that end with
    /// `key` without their values, everything else as [`Mask::text`] shows it. What is no UTF-8 is replaced.
    ///
    /// ```
    /// use kit::mask::Mask;
    ///
    /// let shown = Mask::default().arguments(["app", "--port", "80", "--token", "t", "mysql://root:pa55@db"]);
    /// assert_eq!(shown, ["app", "--port", "80", "--token", "***", "mysql://root:***@db"]);
    /// ```
    pub fn arguments<I: IntoIterator<Item: Into<OsString>>>(&self, arguments: I) -> Vec<String> {
        let mut value_follows = false;
        let mask = |argument: I::Item| {
            let argument = argument.into().to_string_lossy().into_owned();
            // A value may begin with one dash; what begins with two is the next flag.
            if std::mem::take(&mut value_follows) && !argument.starts_with("--") {
                return MASK.to_owned();
            }
            match argument.split_once('=') {
                // What stands before the `=` of a query is no name.
                Some((name, _)) if !name.contains("://") && self.hides_flag(name) => format!("{name}={MASK}"),
                None if argument.starts_with('-') && self.hides_flag(&argument) => {
                    value_follows = true;
                    argument
                }
                _ => self.text(&argument).into_owned(),
            }
        };
        arguments.into_iter().map(mask).collect()
    }

    /// On a command line a `key` opens something; in a message it is mostly one of a map.
    fn hides_flag(&self, name: &str) -> bool {
        self.hides(name) || name.to_ascii_lowercase().ends_with("key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_shown() {
        for (given, expected) in [
            (
                &["target/details", "--http", "127.0.0.1:1", "-v"][..],
                &["target/details", "--http", "127.0.0.1:1", "-v"][..],
            ),
            (&["--addr=127.0.0.1:1", "a=b"], &["--addr=127.0.0.1:1", "a=b"]),
            (&["--db-password=pa55", "x"], &["--db-password=***", "x"]),
            (&["--db-password", "pa55", "x"], &["--db-password", "***", "x"]),
            (&["--token", "-pa55", "-v"], &["--token", "***", "-v"]),
            (&["--api-key", "--verbose"], &["--api-key", "--verbose"]),
            (&["--password", "--token", "pa55"], &["--password", "--token", "***"]),
            (
                &["--api_key=pa55", "--signing-key=pa55", "--KEY", "pa55"],
                &["--api_key=***", "--signing-key=***", "--KEY", "***"],
            ),
            (&["APP_SECRET=pa55", "TOKEN=pa55"], &["APP_SECRET=***", "TOKEN=***"]),
            (&["mysql://root:pa55@db/books?password=pa55"], &["mysql://root:***@db/books?password=***"]),
            (&["mysql://root:p@ss/w@host:3/db?ssl=1"], &["mysql://root:***@host:3/db?ssl=1"]),
            (&["--url=http://u:p@55@host/x"], &["--url=http://u:***@host/x"]),
            (&["--db=postgres://h/db?user=a&password=pa55"], &["--db=postgres://h/db?user=a&password=***"]),
            (&["--dsn=postgres://h/db?user=a&password=pa55"], &["--dsn=***"]),
            (&["grpc://host:5012", "http://host/path"], &["grpc://host:5012", "http://host/path"]),
        ] {
            assert_eq!(Mask::default().arguments(given.iter().copied()), expected);
        }
        assert_eq!(Mask::with_names(["patient"]).arguments(["--patient", "7"]), ["--patient", "***"]);
    }
}
