//! What the kernel counts of a process (proc(5)).

use std::fs;

/// Counted from the start of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that it read from files and wrote to files and pipes: they only grow, and say how far it has come.
    pub moved: u64,
    /// How often it did: steps that move next to nothing, such as the waking of a thread, count as much as a page.
    pub calls: u64,
    /// Most bytes of memory that it held at once.
    pub peak: u64,
    /// Bytes of memory that it holds now.
    pub resident: u64,
}

impl Counts {
    /// `None` when there is no such process.
    pub fn of(id: u32) -> Option<Self> {
        let number = |file: &str, name: &str| -> Option<u64> {
            let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().trim_end_matches(" kB").parse().ok()
        };
        Some(Self {
            moved: number("io", "rchar:")? + number("io", "wchar:")?,
            calls: number("io", "syscr:")? + number("io", "syscw:")?,
            peak: number("status", "VmHWM:")? * 1024,
            resident: number("status", "VmRSS:")? * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_moved_bytes_and_holds_memory() {
        let before = Counts::of(std::process::id()).unwrap();
        fs::read("/proc/self/status").unwrap();
        let after = Counts::of(std::process::id()).unwrap();
        assert!(after.moved > before.moved && after.calls > before.calls);
        assert!(after.peak >= after.resident && after.resident > 0);
    }
}
