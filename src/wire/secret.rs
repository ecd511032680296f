//! Secrets by reference: the configuration says where one stands, and it is read when it is needed.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// A secret that is longer was not meant to be one.
const MOST_BYTES: u64 = 64 << 10;

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In the environment variable of this name.
    Env(String),
    /// In this file; a line break at its end does not belong to it.
    File(PathBuf),
}

/// A secret, which shows itself to nobody who does not ask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// What is wrong, and what to do, without anything of the secret.
    pub fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Self::Env(name) => std::env::var_os(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set: set it for Wharf"))?
                .into_string()
                .map_err(|_| format!("the environment variable `{name}` holds no text (UTF-8)"))?,
            Self::File(path) => {
                let mut text = read(path).map_err(|why| format!("the file `{}` {why}", path.display()))?;
                let kept = text.trim_end_matches(['\r', '\n']).len();
                text.truncate(kept);
                text
            }
        };
        match text.as_str() {
            "" => Err(format!("{self} is empty")),
            _ if text.contains('\0') => Err(format!("{self} holds a NUL character")),
            _ => Ok(Secret(text)),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "the file `{}`", path.display()),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for its writer.
    if !path.metadata().map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err("is larger than a secret can be (64 KiB)".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "holds no text (UTF-8)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_loses_its_line_break_and_shows_itself_to_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, " p w\r\n\n").unwrap();
        let secret = SecretSource::File(path.clone()).read().unwrap();
        assert_eq!(secret.reveal(), " p w");
        assert_eq!(format!("{secret:?}"), "(secret)");
        for content in [&b""[..], b"\n", b"a\0b", b"\xff", &[b'x'; (64 << 10) + 1]] {
            std::fs::write(&path, content).unwrap();
            assert!(SecretSource::File(path.clone()).read().is_err());
        }
        assert!(SecretSource::File(dir.path().to_owned()).read().unwrap_err().contains("is not a file"));
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = SecretSource::Env("WHARF_NO_SUCH_VARIABLE".to_owned()).read().unwrap_err();
        assert!(error.contains("`WHARF_NO_SUCH_VARIABLE` is not set"), "{error}");
    }
}
