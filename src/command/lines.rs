//! What a program prints, line by line and no more than a log can bear.

/// The longest line that is passed on whole.
const LONGEST: usize = 500;

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub struct Lines {
    partial: Vec<u8>,
    left: usize,
}

impl Lines {
    /// Passes on `most` lines; then one that says so, and nothing more.
    pub fn new(most: usize) -> Self {
        Self { partial: Vec::new(), left: most }
    }

    /// Takes more of the stream.
    pub fn take(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        for byte in bytes {
            match byte {
                b'\n' => self.end(on_line),
                byte if self.partial.len() < LONGEST => self.partial.push(*byte),
                _ => {}
            }
        }
    }

    /// The line ends here, or the stream does.
    pub fn end(&mut self, on_line: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.partial);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() || self.left == 0 {
            return;
        }
        self.left -= 1;
        on_line(if self.left == 0 { "(more is left out)" } else { line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(most: usize, parts: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut taken) = (Lines::new(most), Vec::new());
        let mut on_line = |line: &str| taken.push(line.to_owned());
        parts.iter().for_each(|part| lines.take(part, &mut on_line));
        lines.end(&mut on_line);
        taken
    }

    #[test]
    fn lines_are_passed_on_however_they_come() {
        assert_eq!(taken(9, &[b"one\ntw", b"o\r\n\n", b"thr\xFFee"]), ["one", "two", "thr\u{FFFD}ee"]);
    }

    #[test]
    fn a_flood_is_cut() {
        assert_eq!(taken(3, &[b"1\n2\n3\n4\n5\n"]), ["1", "2", "(more is left out)"]);
        assert_eq!(taken(3, &[&[b'x'; 100_000]])[0].len(), LONGEST);
    }
}
