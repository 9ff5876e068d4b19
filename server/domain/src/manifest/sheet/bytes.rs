//! Little-endian numbers at places of a byte slice, where there are that many bytes.

fn array<const N: usize>(bytes: &[u8], place: usize) -> Option<[u8; N]> {
    bytes.get(place..)?.first_chunk().copied()
}

pub(super) fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    array(bytes, place).map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    array(bytes, place).map(u32::from_le_bytes)
}

pub(super) fn f64_at(bytes: &[u8], place: usize) -> Option<f64> {
    array(bytes, place).map(f64::from_le_bytes)
}

/// A number of 32 bits as a place.
pub(super) fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
