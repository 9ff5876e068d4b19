//! A checked walk over bytes from outside.

use super::DecodeError;

/// What is left of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(DecodeError::Malformed("ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn two(&mut self) -> Result<u16, DecodeError> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn four(&mut self) -> Result<u32, DecodeError> {
        self.take(4)
            .map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer of at most four bytes, and no more than its value needs `[5: MQTT-1.5.5-1]`.
    pub(super) fn variable(&mut self) -> Result<usize, DecodeError> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return if place > 0 && byte == 0 {
                    Err(DecodeError::Malformed("variable byte integer is padded"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(DecodeError::Malformed(
            "variable byte integer of more than four bytes",
        ))
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.two()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 string; NUL closes the connection `[5: MQTT-1.5.4-2]`.
    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let text =
            str::from_utf8(self.binary()?).map_err(|_| DecodeError::Malformed("string is not UTF-8"))?;
        if text.contains('\0') {
            return Err(DecodeError::Malformed("string holds NUL"));
        }
        Ok(text)
    }

    /// A packet identifier, never 0 `[5: MQTT-2.2.1-3]`.
    pub(super) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.two()? {
            0 => Err(DecodeError::Malformed("packet identifier is 0")),
            id => Ok(id),
        }
    }

    pub(super) const fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Malformed("bytes after the end"))
        }
    }
}
