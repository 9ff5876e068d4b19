//! The authors whose firmware may run on this device: their keys come from whoever set the device up, never from the registry.

use crate::{agent::AgentError, config::Settings};
use muster_firmware_policy::{Evaluation, FirmwarePolicy};
use muster_proto::firmware::{AuthorKey, AuthorKeyError};
use std::{fs::File, io, io::Read as _, path::Path};

/// A P-256 key in PEM has some 180 bytes; text around it does no harm.
const FILE_LIMIT: u64 = 8 << 10;

/// Why a file is not the key of an author.
#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    /// It cannot be read.
    #[error(transparent)]
    Unread(#[from] io::Error),
    /// It holds something else.
    #[error(transparent)]
    Key(#[from] AuthorKeyError),
}

/// Whose images the device takes.
#[derive(Debug, Clone)]
pub(crate) enum Authors {
    /// Anybody's, if the registry says so.
    Any,
    /// Those of these.
    Of(Vec<AuthorKey>),
}

impl Authors {
    /// Reads the keys that the settings name. One that cannot be used is an error: to go on without it would be to refuse
    /// what its author signed.
    pub(crate) fn load(settings: &Settings) -> Result<Self, AgentError> {
        let Some(paths) = settings.firmware_keys() else {
            return Ok(Self::Any);
        };
        let key = |path: &_| read(path).map_err(|error| AgentError::Author(Path::to_path_buf(path), error));
        let keys = paths
            .iter()
            .map(|path| key(path.as_path()))
            .collect::<Result<_, _>>();
        keys.map(Self::Of)
    }

    /// What a policy asks for, less what none of the authors answers for.
    pub(crate) fn judge(&self, policy: &FirmwarePolicy, evaluation: Evaluation) -> Evaluation {
        match self {
            Self::Any => evaluation,
            Self::Of(keys) => {
                evaluation.trusting(policy, |image| keys.iter().any(|key| key.has_signed(image)))
            }
        }
    }
}

fn read(path: &Path) -> Result<AuthorKey, AuthorError> {
    let mut pem = Vec::new();
    File::open(path)?.take(FILE_LIMIT).read_to_end(&mut pem)?;
    let pem = String::from_utf8(pem).map_err(|_| AuthorKeyError::NotPem)?;
    Ok(AuthorKey::from_pem(&pem)?)
}

#[cfg(test)]
mod tests;
