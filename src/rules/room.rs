//! Whether there is room for a promotion: it begins a timeline, and with it a new WAL file, even if another file could be reused.
//! A server that cannot write that file ends.

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that the PostgreSQL user may still write beside the WAL.
    pub free: u64,
    /// Bytes of one WAL file.
    pub segment: u64,
}

impl Room {
    /// Whether it is enough.
    pub fn is_enough(self) -> bool {
        self.free >= self.segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn enough((free, segment): (u64, u64)) -> bool {
        Room { free, segment }.is_enough()
    }

    table! { enough;
        plenty: (1 << 30, 16 << 20) => true;
        just_one_file: (16 << 20, 16 << 20) => true;
        a_byte_less: ((16 << 20) - 1, 16 << 20) => false;
        full: (0, 1 << 20) => false;
    }
}
