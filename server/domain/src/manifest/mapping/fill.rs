//! A field that is computed from cells.

use super::{Field, source::FieldSource, transform::Transform};

/// How a field comes to its value, where that is more than one cell as it stands.
#[derive(Debug, Clone)]
pub(in crate::manifest) struct Fill {
    field: Field,
    constant: Option<String>,
    default: Option<String>,
    is_required: bool,
    join: Option<String>,
    transform: Transform,
}

impl Fill {
    /// # Errors
    /// A pattern that does not compile; checked mappings have none.
    pub(super) fn new(field: &Field, source: &FieldSource) -> Result<Self, String> {
        Ok(Self {
            field: field.clone(),
            constant: source.value.as_deref().map(|value| value.trim().to_owned()),
            default: source.default.as_deref().map(|value| value.trim().to_owned()),
            is_required: source.required,
            join: source.join.clone(),
            transform: Transform::new(&source.steps)?,
        })
    }

    /// What it fills.
    pub(in crate::manifest) const fn field(&self) -> &Field {
        &self.field
    }

    /// The value of every row.
    pub(in crate::manifest) fn constant(&self) -> Option<&str> {
        self.constant.as_deref()
    }

    /// The value of rows that have none.
    pub(in crate::manifest) fn default(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// Is a row without a value refused for that alone? One without a serial is refused anyway.
    pub(in crate::manifest) fn is_required(&self) -> bool {
        self.is_required && self.field != Field::Serial
    }

    /// What stands between several cells; `None` when there can be one only.
    pub(in crate::manifest) fn join(&self) -> Option<&str> {
        self.join.as_deref()
    }

    /// What is done to the text.
    pub(in crate::manifest) const fn transform(&self) -> &Transform {
        &self.transform
    }
}
