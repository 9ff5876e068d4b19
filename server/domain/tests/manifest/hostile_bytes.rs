//! No bytes panic a reader, whatever they look like.

use crate::{
    hostile::{HEADER, swallow},
    sheets::{ODS, XLS, XLSX},
    workbook::{ods, xlsx},
};
use proptest::{collection::vec, prelude::*};

fn broken(whole: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 1usize..5);
    vec(change, 1..12).prop_map(move |changes| {
        let mut bytes = whole.to_vec();
        for (place, value, length) in changes {
            let start = place.index(bytes.len());
            bytes
                .iter_mut()
                .skip(start)
                .take(length)
                .for_each(|byte| *byte = value);
        }
        bytes
    })
}

/// Markup that looks like a sheet to various degrees, inside an archive that is sound.
fn markup(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(prop::sample::select(tokens), 0..60).prop_map(|parts| parts.concat())
}

const SHEET: &[&str] = &[
    "<row r='2'>",
    "<row>",
    "</row>",
    "<row r='9'/>",
    "<c>",
    "<c r='B2'>",
    "<c t='s' s='1'>",
    "<c t='inlineStr'>",
    "<c t='b'>",
    "</c>",
    "<v>",
    "</v>",
    "<f>",
    "</f>",
    "<is>",
    "</is>",
    "<t>",
    "</t>",
    "1",
    "46349.5",
    "x",
    "&amp;",
    "&#0;",
    "<!-- -->",
    "<?x?>",
    "<![CDATA[y]]>",
    "_x000D_",
];
const TABLE: &[&str] = &[
    "<t:table-row>",
    "</t:table-row>",
    "<t:table-row t:number-rows-repeated='3'>",
    "<t:table-cell>",
    "</t:table-cell>",
    "<x:p>",
    "</x:p>",
    "<t:table-cell t:number-columns-repeated='300' x:value-type='float' x:value='1'>",
    "<t:covered-table-cell/>",
    "y",
    "<x:s x:c='9'/>",
    "<x:line-break/>",
    "<t:table t:name='in'>",
    "</t:table>",
    "<t:table-row-group>",
    "</t:table-row-group>",
];
const ELEMENTS: &[&str] = &[
    "<a>",
    "</a>",
    "<b x='1'>",
    "</b>",
    "<c/>",
    "<d:e/>",
    "text",
    " ",
    "&lt;",
    "<!DOCTYPE a>",
    "\u{FFFD}",
];
const VALUES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"a\"",
    ":",
    ",",
    "1",
    "null",
    "\\",
    "\"",
    " ",
    "{\"serial\":\"A\"}",
    "\n",
];

proptest! {
    #[test]
    fn no_broken_workbook_panics(bytes in prop_oneof![broken(XLSX), broken(XLS), broken(ODS)]) {
        swallow(&bytes);
    }

    #[test]
    fn no_bytes_in_a_container_panic(bytes in vec(any::<u8>(), 0..3000)) {
        swallow(&[b"PK\x03\x04", bytes.as_slice()].concat());
        swallow(&[b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", bytes.as_slice()].concat());
        swallow(&[b"<", bytes.as_slice()].concat());
        swallow(&[b"[", bytes.as_slice()].concat());
    }

    #[test]
    fn no_sheet_panics(rows in markup(SHEET), others in markup(TABLE)) {
        swallow(&xlsx(&rows));
        swallow(&xlsx(&format!("{HEADER}<row r='2'>{rows}</row>")));
        swallow(&ods(&others));
    }

    #[test]
    fn no_list_panics(values in markup(VALUES), elements in markup(ELEMENTS)) {
        swallow(format!("[{values}").as_bytes());
        swallow(format!("{{\n\"a\":{values}").as_bytes());
        swallow(format!("<a>{elements}").as_bytes());
    }
}
