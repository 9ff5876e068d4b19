//! The user's own contexts, by name.

use super::{Context, ContextFile, VARIABLE};
use crate::failure::Failure;
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Longest name of a context: it becomes a file name.
const NAME_LIMIT: usize = 63;

/// The directory of named contexts: `contexts/NAME.toml`, and `current` with the name that is used when none is given.
#[derive(Debug, Clone)]
pub struct Contexts {
    directory: PathBuf,
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    starts_well && text.len() <= NAME_LIMIT && text.chars().all(plain) && !text.ends_with(".toml")
}

fn bad_name(name: &str) -> Failure {
    Failure::usage(
        format!("{name:?} is not a name for a context"),
        format!(
            "Names have letters, digits and . _ -, at most {NAME_LIMIT}, and start with a letter or digit."
        ),
    )
}

impl Contexts {
    /// In `$XDG_CONFIG_HOME/muster`, or `~/.config/muster`.
    pub fn of_user() -> Result<Self, Failure> {
        let set = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let base = set("XDG_CONFIG_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".config")));
        let base =
            base.ok_or_else(|| Failure::usage("this user has no home directory", "Set XDG_CONFIG_HOME."))?;
        Ok(Self::at(base.join("muster")))
    }

    /// In another directory.
    pub const fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join("contexts").join(format!("{name}.toml"))
    }

    /// The path of a context by its name; `None` when there is none.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = is_name(name).then(|| self.path(name))?;
        path.is_file().then_some(path)
    }

    /// All names, sorted.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let directory = self.directory.join("contexts");
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::file("list", &directory, &error)),
        };
        let stem = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".toml")
                .filter(|name| is_name(name))
                .map(str::to_owned)
        };
        let mut names: Vec<_> = entries.filter_map(Result::ok).filter_map(stem).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The name that is used when none is given.
    pub fn current(&self) -> Option<String> {
        let name = fs::read_to_string(self.directory.join("current")).ok()?;
        let name = name.trim();
        is_name(name).then(|| name.to_owned())
    }

    /// Makes a context the one that is used when none is given.
    pub fn choose(&self, name: &str) -> Result<(), Failure> {
        if self.find(name).is_none() {
            return Err(self.unknown(name));
        }
        self.write(
            &self.directory.join("current"),
            &format!("{name}\n"),
            Collision::Replaces,
        )
    }

    /// Keeps a context under a name; the first one becomes current.
    pub fn add(&self, name: &str, file: &ContextFile, collision: Collision) -> Result<PathBuf, Failure> {
        if !is_name(name) {
            return Err(bad_name(name));
        }
        let path = self.path(name);
        self.write(&path, &file.to_toml()?, collision)?;
        if self.current().is_none() {
            self.choose(name)?;
        }
        Ok(path)
    }

    fn write(&self, path: &Path, text: &str, collision: Collision) -> Result<(), Failure> {
        let parent = path.parent().unwrap_or(&self.directory);
        let written = fs::create_dir_all(parent).and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(parent)?;
            file.write_all(text.as_bytes())?;
            match collision {
                Collision::Replaces => file.persist(path).map_err(|error| error.error),
                Collision::Fails => file.persist_noclobber(path).map_err(|error| error.error),
            }
        });
        match written {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::usage(
                format!("{} is there already", path.display()),
                "Replace it with --replace.",
            )),
            Err(error) => Err(Failure::file("write", path, &error)),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let known = self.names().unwrap_or_default();
        let help = match known.as_slice() {
            [] => "There are no named contexts yet. Add one with `muster context add`, or name a directory made by \
                   `musterd init`."
                .to_owned(),
            known => format!("Named contexts: {}. A path works too.", known.join(", ")),
        };
        Failure::usage(format!("there is no context {name:?}"), help)
    }

    /// Where the wanted context is: the option, else [`VARIABLE`], else the current one. A text with a `/` or
    /// ending in `.toml` is a path; any other is a name first, and a path in the working directory second.
    pub fn resolve(&self, option: Option<&str>) -> Result<PathBuf, Failure> {
        let from_environment = || std::env::var(VARIABLE).ok().filter(|value| !value.is_empty());
        match option
            .map(str::to_owned)
            .or_else(from_environment)
            .or_else(|| self.current())
        {
            Some(wanted) => self.locate(&wanted),
            None => Err(Failure::usage(
                "no context: which server, and as whom?",
                format!(
                    "Give --context DIR (as made by `musterd init --dir DIR`), set {VARIABLE}, or `muster context add`."
                ),
            )),
        }
    }

    fn locate(&self, wanted: &str) -> Result<PathBuf, Failure> {
        let path = Path::new(wanted);
        if wanted.contains('/') || wanted.ends_with(".toml") {
            return Ok(path.to_owned());
        }
        match self.find(wanted) {
            Some(found) => Ok(found),
            None if path.exists() => Ok(path.to_owned()),
            None => Err(self.unknown(wanted)),
        }
    }

    /// The wanted context, read.
    pub fn load(&self, option: Option<&str>) -> Result<Context, Failure> {
        Context::load(&self.resolve(option)?)
    }
}

/// What happens to a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collision {
    /// It stays, and the write fails.
    Fails,
    /// It goes.
    Replaces,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(server: &str) -> ContextFile {
        ContextFile {
            server: server.into(),
            roots: "/r".into(),
            certificate: "/c".into(),
            key: "/k".into(),
            mqtt: None,
            server_name: Some("muster.example".into()),
        }
    }

    fn contexts() -> (tempfile::TempDir, Contexts) {
        let directory = tempfile::tempdir().unwrap();
        let contexts = Contexts::at(directory.path().join("muster"));
        (directory, contexts)
    }

    #[test]
    fn the_first_context_is_used_until_another_is_chosen() {
        let (_directory, contexts) = contexts();
        assert_eq!((contexts.names().unwrap(), contexts.current()), (vec![], None));
        let plant = contexts
            .add("plant", &file("https://p:1"), Collision::Fails)
            .unwrap();
        let lab = contexts
            .add("lab", &file("https://l:1"), Collision::Fails)
            .unwrap();
        assert_eq!(contexts.names().unwrap(), ["lab", "plant"]);
        assert_eq!(contexts.current().as_deref(), Some("plant"));
        contexts.choose("lab").unwrap();
        assert_eq!(contexts.current().as_deref(), Some("lab"));
        assert_eq!(contexts.locate("plant").unwrap(), plant);
        assert_eq!(ContextFile::read(&lab).unwrap(), file("https://l:1"));
    }

    #[test]
    fn a_context_is_not_replaced_by_accident() {
        let (_directory, contexts) = contexts();
        let path = contexts
            .add("plant", &file("https://p:1"), Collision::Fails)
            .unwrap();
        assert!(
            contexts
                .add("plant", &file("https://q:1"), Collision::Fails)
                .is_err()
        );
        assert_eq!(ContextFile::read(&path).unwrap(), file("https://p:1"));
        contexts
            .add("plant", &file("https://q:1"), Collision::Replaces)
            .unwrap();
        assert_eq!(ContextFile::read(&path).unwrap(), file("https://q:1"));
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let (_directory, contexts) = contexts();
        for name in ["", "..", "../x", "a/b", ".hidden", "x.toml", "é", &"x".repeat(64)] {
            assert!(
                contexts
                    .add(name, &file("https://p:1"), Collision::Replaces)
                    .is_err(),
                "{name:?}"
            );
            assert_eq!(contexts.find(name), None);
        }
    }

    #[test]
    fn paths_and_names_are_told_apart() {
        let (directory, contexts) = contexts();
        let here = directory.path().display().to_string();
        assert_eq!(contexts.locate(&here).unwrap(), directory.path());
        assert_eq!(contexts.locate("some.toml").unwrap(), Path::new("some.toml"));
        let failure = contexts.locate("nowhere").unwrap_err();
        assert!(failure.to_string().contains("no named contexts yet"), "{failure}");
        contexts
            .add("plant", &file("https://p:1"), Collision::Fails)
            .unwrap();
        let failure = contexts.locate("nowhere").unwrap_err();
        assert!(
            failure.to_string().contains("Named contexts: plant."),
            "{failure}"
        );
    }
}
