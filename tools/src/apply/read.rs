//! Files, directories and standard input as resources.

use super::{Kind, Resource, document::Document};
use crate::{context::read_small, failure::Failure};
use clap::ValueEnum;
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// Largest file of resources.
const FILE_LIMIT: u64 = 16 << 20;

/// What a file of resources is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// TOML.
    Toml,
    /// JSON: an object, an array, or one after another.
    Json,
    /// YAML: a mapping, a list, or several documents.
    Yaml,
    /// A table of sites, delimited by `,` `;` tab or `|`.
    Csv,
}

impl FileFormat {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "json" | "jsonl" | "ndjson" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "csv" | "tsv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// For text without a name: `{`, and `[` that is JSON as a whole, are JSON; all else is TOML.
    fn sniff(text: &str) -> Self {
        let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        match text.trim_start().chars().next() {
            Some('{') => Self::Json,
            Some('[') if is_json() => Self::Json,
            _ => Self::Toml,
        }
    }
}

/// Reads a file, the files of a directory (in order of name, not those below it), or `-` for standard input.
pub fn read_path(path: &Path, kind: Kind, format: Option<FileFormat>) -> Result<Vec<Resource>, Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin()
            .lock()
            .take(FILE_LIMIT + 1)
            .read_to_end(&mut bytes);
        read.map_err(|error| Failure::file("read", Path::new("standard input"), &error))?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(Failure::usage(
                format!("standard input is over {FILE_LIMIT} bytes"),
                "",
            ));
        }
        return read_bytes(bytes, "standard input", Path::new(""), kind, format);
    }
    if path.is_dir() {
        let mut resources = Vec::new();
        for file in files_of(path)? {
            resources.extend(read_path(&file, kind, format)?);
        }
        return Ok(resources);
    }
    let bytes = read_small(path, FILE_LIMIT)?;
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    read_bytes(
        bytes,
        &path.display().to_string(),
        base,
        kind,
        format.or_else(|| FileFormat::of(path)),
    )
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::file("list", directory, &error);
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = paths.map_err(failed)?;
    let is_test = |path: &Path| path.to_string_lossy().ends_with(crate::profile::test::ENDING);
    files.retain(|path| path.is_file() && FileFormat::of(path).is_some() && !is_test(path));
    files.sort_unstable();
    if files.is_empty() {
        let message = format!(
            "{} holds no .toml, .json, .yaml or .csv file",
            directory.display()
        );
        return Err(Failure::usage(message, ""));
    }
    Ok(files)
}

fn read_bytes(
    bytes: Vec<u8>,
    origin: &str,
    base: &Path,
    kind: Kind,
    format: Option<FileFormat>,
) -> Result<Vec<Resource>, Failure> {
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{origin} is not UTF-8"), ""))?;
    read_text(&text, origin, base, kind, format)
}

/// Reads resources from text. `origin` names it in messages, `base` is where template files are looked for.
pub fn read_text(
    text: &str,
    origin: &str,
    base: &Path,
    kind: Kind,
    format: Option<FileFormat>,
) -> Result<Vec<Resource>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = Document { origin, base, kind };
    let read = match format.unwrap_or_else(|| FileFormat::sniff(text)) {
        FileFormat::Toml => document.toml(text),
        FileFormat::Json => document.json(text),
        FileFormat::Yaml => document.yaml(text),
        FileFormat::Csv => document.csv(text),
    };
    let resources = read.map_err(|why| {
        let separator = if why.starts_with(|c: char| c.is_uppercase()) || why.contains('\n') {
            ": "
        } else {
            " "
        };
        Failure::usage(
            format!("{origin}{separator}{why}"),
            "`muster apply --help` shows what files look like.",
        )
    })?;
    if resources.is_empty() {
        return Err(Failure::usage(format!("{origin} holds no resources"), ""));
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::v1::resource::Resource as Wire;

    fn read(text: &str, kind: Kind, format: Option<FileFormat>) -> Result<Vec<Resource>, Failure> {
        read_text(text, "f", Path::new(""), kind, format)
    }

    fn names(resources: &[Resource]) -> Vec<&str> {
        resources
            .iter()
            .map(|resource| resource.origin.trim_start_matches("f: "))
            .collect()
    }

    #[track_caller]
    fn check(text: &str, kind: Kind, expected: &[&str]) {
        assert_eq!(names(&read(text, kind, None).unwrap()), expected);
    }

    #[test]
    fn a_file_holds_one_or_many_or_several_kinds() {
        check(
            "name = 'GW-200'\nouis = ['00:1B:C5']",
            Kind::Models,
            &["models/GW-200"],
        );
        check(
            "[[models]]\nname = 'a'\n[[models]]\nname = 'b'",
            Kind::Models,
            &["models/a", "models/b"],
        );
        check(r#"{"name": "a"}"#, Kind::Models, &["models/a"]);
        check(
            r#"[{"name": "a"}, {"name": "b"}]"#,
            Kind::Models,
            &["models/a", "models/b"],
        );
        check(
            "{\"name\": \"a\"}\n{\"name\": \"b\"}\n",
            Kind::Models,
            &["models/a", "models/b"],
        );
        check(
            "[[sites]]\ncode = 's'\n[[models]]\nname = 'm'\n[[profiles]]\nname = 'p'\nfiles = {}\n[[firmware_policies]]\nname = 'w'\napplies_to = { models = ['*'] }",
            Kind::Any,
            &["firmwarePolicies/w", "profiles/p", "models/m", "sites/s"],
        );
        check(
            "[[naming_rules]]\nname = 'rooms'\nfield = 'position'\npattern = '[A-Z]'\nexample = 'A'\nmodels = ['m']\nrequired = true\n[[models]]\nname = 'm'\ncheck_digit = 'luhn'",
            Kind::Any,
            &["models/m", "namingRules/rooms"],
        );
        check(
            "[[mappings]]\nname = 'line-7'\n[[mappings.fields]]\nfield = 'serial'\ncolumns = ['SN']\nsteps = [{ trim = true }, { pad = { width = 7, with = '0' } }]",
            Kind::Any,
            &["mappings/line-7"],
        );
        check(
            "name = 'line-7'\nunmapped = 'ignore'",
            Kind::Mappings,
            &["mappings/line-7"],
        );
        check(
            "name = 'rooms'\nfield = 'site'",
            Kind::NamingRules,
            &["namingRules/rooms"],
        );
        check(
            r#"{"sites": [{"code": "s"}], "models": []}"#,
            Kind::Any,
            &["sites/s"],
        );
    }

    #[test]
    fn yaml_says_the_same_as_toml() {
        let yaml = "profiles:\n- name: p\n  parameters:\n    port: {type: integer, minimum: 1, enum: [80, 443], default: 80}\n  files:\n    a.toml: |\n      port = {{ port }}\n";
        let toml = "[[profiles]]\nname = 'p'\nparameters.port = { type = 'integer', minimum = '1', enum = ['80', 443], default = 80 }\nfiles.'a.toml' = \"port = {{ port }}\\n\"";
        let found = read(yaml, Kind::Any, Some(FileFormat::Yaml)).unwrap();
        assert_eq!(found, read(toml, Kind::Any, None).unwrap());
        let found = read("name: a\n---\nname: b\n", Kind::Models, Some(FileFormat::Yaml)).unwrap();
        assert_eq!(names(&found), ["models/a", "models/b"]);
    }

    #[test]
    fn the_mapping_of_the_protocols_description_is_one() {
        let readme = include_str!("../../../proto/README.md");
        let (_, rest) = readme.split_once("<!-- mapping -->\n```toml\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let found = read(text, Kind::Mappings, None).unwrap();
        assert_eq!(names(&found), ["mappings/line-7"]);
        let Some(Wire::Mapping(mapping)) = &found[0].wire.resource else {
            panic!()
        };
        let source: muster_domain::manifest::MappingSource =
            serde_json::from_str(&mapping.source_json).unwrap();
        assert_eq!(source.check().map(|checked| checked.models().len()), Ok(1));
    }

    #[test]
    fn sites_come_as_a_table_too() {
        let text = "\u{feff}code;name;latitude;longitude;time_zone\nSAO-04;São Paulo depot;-23.5505;-46.6333;America/Sao_Paulo\nX-1;;;;\n";
        let sites = read(text, Kind::Sites, Some(FileFormat::Csv)).unwrap();
        assert_eq!(names(&sites), ["sites/SAO-04", "sites/X-1"]);
        let Some(Wire::Site(first)) = &sites[0].wire.resource else {
            panic!()
        };
        assert_eq!(
            (first.display_name.as_str(), first.latitude),
            ("São Paulo depot", Some(-23.5505))
        );
        let Some(Wire::Site(second)) = &sites[1].wire.resource else {
            panic!()
        };
        assert_eq!((second.latitude, second.parent.as_str()), (None, ""));
    }

    #[test]
    fn a_profile_takes_templates_from_files_and_plain_defaults() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("net.j2"), "ext = {{ extension }}\n").unwrap();
        let text = "name = 'gateway'\nmessage = 'first'\n\
                    [parameters]\nextension = { type = 'integer' }\nperiod = { type = 'number', default = 2.5 }\n\
                    on = { type = 'boolean', default = true }\n\
                    [files]\n'a.txt' = 'plain'\n'net.toml' = { file = 'net.j2' }\n";
        let read = read_text(
            text,
            "f",
            directory.path(),
            Kind::Profiles,
            Some(FileFormat::Toml),
        )
        .unwrap();
        let Some(Wire::Profile(profile)) = &read[0].wire.resource else {
            panic!()
        };
        assert_eq!(profile.files["net.toml"], "ext = {{ extension }}\n");
        assert_eq!(profile.files["a.txt"], "plain");
        assert_eq!(profile.parameters["period"].default.as_deref(), Some("2.5"));
        assert_eq!(profile.parameters["on"].default.as_deref(), Some("true"));
        assert_eq!(profile.parameters["extension"].default, None);
        assert_eq!(profile.revision.as_ref().unwrap().message, "first");
        let failure = read_text(text, "f", Path::new("/nowhere"), Kind::Profiles, None).unwrap_err();
        assert!(failure.to_string().contains("/nowhere/net.j2"), "{failure}");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let check = |text: &str, kind: Kind, format: Option<FileFormat>, expected: &str| {
            let failure = read(text, kind, format).unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
            assert_eq!(failure.exit(), crate::exit::Exit::Usage);
        };
        check(
            "name = 'a'\nserial_patern = 'x'",
            Kind::Models,
            None,
            "serial_patern",
        );
        check("name = 'a'\nserial_patern = 'x'", Kind::Models, None, "line 2");
        check("name = ", Kind::Models, None, "line 1");
        check("name = 'a'", Kind::Any, None, "does not say what it holds");
        check("[[sites]]\ncode = 's'", Kind::Models, None, "holds sites");
        check(
            r#"[{"name": "a"}, {"nam": "b"}]"#,
            Kind::Models,
            None,
            "document 2: unknown field `nam`",
        );
        check(
            "a,b\n1,2\n",
            Kind::Models,
            Some(FileFormat::Csv),
            "for sites only",
        );
        check(
            "code,nme\nx,y\n",
            Kind::Sites,
            Some(FileFormat::Csv),
            "unknown field `nme`",
        );
        check(
            "code,name\nx,y,z\n",
            Kind::Sites,
            Some(FileFormat::Csv),
            "line: 2",
        );
        let yaml = |text: &str, expected: &str| {
            let failure = read(text, Kind::Models, Some(FileFormat::Yaml)).unwrap_err();
            assert!(failure.to_string().contains(expected), "{failure}");
        };
        yaml("name: a\n- b\n", "is not YAML: line 2");
        yaml("- name: a\n- nam: b\n", "document 2: unknown field `nam`");
        check("", Kind::Models, None, "missing field `name`");
        check("[]", Kind::Models, Some(FileFormat::Json), "holds no resources");
        check(
            "name = 'p'\n[files]\na = 3",
            Kind::Profiles,
            None,
            "a template, or",
        );
        check(
            "name = 'p'\nfiles = {}\n[parameters]\nx = { type = 'date' }",
            Kind::Profiles,
            None,
            "date",
        );
    }

    #[test]
    fn a_directory_is_read_in_order_and_not_below() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("b.toml", "[[models]]\nname = 'b'");
        write("a.json", r#"{"models": [{"name": "a"}]}"#);
        write("notes.txt", "not a resource");
        write("a.test.toml", "cases = 'of a profile'");
        std::fs::create_dir(directory.path().join("templates")).unwrap();
        write("templates/net.toml", "{{ x }}");
        let read = read_path(directory.path(), Kind::Any, None).unwrap();
        let ends: Vec<_> = read
            .iter()
            .map(|resource| resource.origin.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(ends, ["models/a", "models/b"]);
        assert!(read_path(&directory.path().join("templates"), Kind::Any, None).is_err());
    }
}
