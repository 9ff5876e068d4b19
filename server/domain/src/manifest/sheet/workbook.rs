//! The table of contents of an XLSX workbook.

use super::{Listed, SHEET_LIMIT, date::Epoch};
use crate::{
    Code, Refusal,
    manifest::{
        ReadError,
        archive::{Archive, Entry},
        carried::{damaged, too_large},
        markup::{Markup, Tag, Token},
        part::Part,
    },
};
use std::{
    collections::BTreeMap,
    io::{BufReader, Read, Seek},
};

/// Most relations of a part to others.
const RELATION_LIMIT: usize = 4096;

/// What a workbook holds, and where.
#[derive(Debug)]
pub(super) struct Workbook {
    pub(super) epoch: Epoch,
    pub(super) sheets: Vec<Listed>,
    /// The part of each sheet.
    pub(super) parts: Vec<Entry>,
    pub(super) strings: Option<Entry>,
    pub(super) styles: Option<Entry>,
}

/// A relation: what kind of part it leads to, and where that is.
struct Relation {
    kind: String,
    target: String,
}

type Relations = BTreeMap<String, Relation>;

impl Workbook {
    pub(super) fn read<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Self, ReadError> {
        let root = relations(archive, "_rels/.rels", "")?;
        let of_kind = |relations: &Relations, kind: &str| {
            let found = relations.values().find(|relation| relation.kind == kind);
            found.map(|relation| relation.target.clone())
        };
        let path = of_kind(&root, "officeDocument").unwrap_or_else(|| "xl/workbook.xml".to_owned());
        if path.to_ascii_lowercase().ends_with(".bin") {
            let why = "is a binary workbook (XLSB); save it as XLSX or CSV";
            return Err(Refusal::new(Code::ManifestUnreadable, why).into());
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let relations = relations(archive, &format!("{folder}/_rels/{name}.rels"), folder)?;
        let entry = archive
            .entry(&path)
            .ok_or_else(|| Refusal::new(Code::ManifestUnreadable, "is an archive that holds no workbook"))?;
        let (epoch, listed) = contents(archive.part(&entry)?)?;
        let mut workbook = Self {
            epoch,
            sheets: Vec::new(),
            parts: Vec::new(),
            strings: of_kind(&relations, "sharedStrings").and_then(|path| archive.entry(&path)),
            styles: of_kind(&relations, "styles").and_then(|path| archive.entry(&path)),
        };
        for (sheet, id) in listed {
            let relation = relations.get(&id).filter(|relation| relation.kind == "worksheet");
            // Charts and dialogs are sheets too, without rows.
            let Some(relation) = relation else { continue };
            let entry = archive.entry(&relation.target);
            workbook
                .parts
                .push(entry.ok_or_else(|| damaged("lacks one of its sheets"))?);
            workbook.sheets.push(sheet);
        }
        Ok(workbook)
    }
}

pub(super) fn buffered<R: Read>(part: Part<R>) -> BufReader<Part<R>> {
    BufReader::with_capacity(64 << 10, part)
}

/// The sheets, each with the name of its relation.
fn contents(part: Part<impl Read>) -> Result<(Epoch, Vec<(Listed, String)>), ReadError> {
    let mut markup = Markup::new(buffered(part));
    let mut epoch = Epoch::default();
    let mut sheets = Vec::new();
    loop {
        match markup.next()? {
            Token::Open(tag) => match tag.name() {
                "workbookPr" if is_true(tag.attribute("date1904")?.as_deref()) => epoch = Epoch::Of1904,
                "sheet" => sheets.push(sheet(&tag)?),
                _ => {}
            },
            Token::Close(_) | Token::Text(_) => {}
            Token::End => return Ok((epoch, sheets)),
        }
        if sheets.len() > SHEET_LIMIT {
            return Err(too_large(format!("has more than {SHEET_LIMIT} sheets")).into());
        }
    }
}

fn is_true(value: Option<&str>) -> bool {
    matches!(value, Some("1" | "true"))
}

fn sheet(tag: &Tag<'_>) -> Result<(Listed, String), ReadError> {
    let value = |name| Ok::<_, ReadError>(tag.attribute(name)?.unwrap_or_default().into_owned());
    let listed = Listed {
        name: value("name")?,
        is_hidden: matches!(value("state")?.as_str(), "hidden" | "veryHidden"),
    };
    Ok((listed, value("id")?))
}

/// The relations of a part; none where the file has none.
fn relations<R: Read + Seek>(
    archive: &mut Archive<R>,
    path: &str,
    folder: &str,
) -> Result<Relations, ReadError> {
    let mut relations = Relations::new();
    let Some(entry) = archive.entry(path) else {
        return Ok(relations);
    };
    let mut markup = Markup::new(buffered(archive.part(&entry)?));
    loop {
        match markup.next()? {
            Token::Open(tag) if tag.name() == "Relationship" => {
                let value = |name| Ok::<_, ReadError>(tag.attribute(name)?.unwrap_or_default());
                let kind = value("Type")?;
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                let target = resolve(folder, &value("Target")?);
                relations.insert(value("Id")?.into_owned(), Relation { kind, target });
            }
            Token::Open(_) | Token::Close(_) | Token::Text(_) => {}
            Token::End => return Ok(relations),
        }
        if relations.len() > RELATION_LIMIT {
            return Err(too_large(format!("has more than {RELATION_LIMIT} relations")).into());
        }
    }
}

/// A target as a path from the root of the archive.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut path: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            step => path.push(step),
        }
    }
    path.join("/")
}
