//! Answers of HTTP/1.1 as they come in pieces: status, framing, and the body compared on the fly.

const HEAD_BYTES_MAX: usize = 64 * 1024;
const KEPT_BYTES: usize = 400;

/// Where in an answer the next byte is.
#[derive(Clone, Copy)]
enum State {
    Head,
    Sized { left: u64 },
    ChunkSize,
    Chunk { left: u64 },
    ChunkEnd { left: u8 },
    Trailer,
    Done,
}

/// One answer; `feed` takes bytes until it says that the answer is over.
pub struct Answer<'a> {
    state: State,
    text: Vec<u8>,
    expected: Option<&'a [u8]>,
    pub status: u16,
    pub is_closing: bool,
    pub is_different: bool,
    pub body_bytes: u64,
    /// The first bytes of the body of a refusal.
    pub kept: Vec<u8>,
}

impl<'a> Answer<'a> {
    pub fn new() -> Self {
        Self {
            state: State::Head,
            text: Vec::with_capacity(1024),
            expected: None,
            status: 0,
            is_closing: false,
            is_different: false,
            body_bytes: 0,
            kept: Vec::new(),
        }
    }

    /// Begin another answer, whose body must be `expected`.
    pub fn begin(&mut self, expected: Option<&'a [u8]>) {
        self.state = State::Head;
        self.text.clear();
        self.expected = expected;
        self.status = 0;
        self.is_closing = false;
        self.is_different = false;
        self.body_bytes = 0;
        self.kept.clear();
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Take bytes; return whether the answer is over. What follows it is an error.
    pub fn feed(&mut self, data: &[u8]) -> Result<bool, String> {
        let mut at = 0;
        while at < data.len() {
            at += match self.state {
                State::Head => self.feed_head(&data[at..])?,
                State::Sized { left } => {
                    let count = self.take_body(&data[at..], left);
                    self.state = State::Sized {
                        left: left - count as u64,
                    };
                    if left == count as u64 {
                        self.finish();
                    }
                    count
                }
                State::ChunkSize => self.feed_chunk_size(data[at])?,
                State::Chunk { left } => {
                    let count = self.take_body(&data[at..], left);
                    self.state = match left - count as u64 {
                        0 => State::ChunkEnd { left: 2 },
                        left => State::Chunk { left },
                    };
                    count
                }
                State::ChunkEnd { left: 1 } => {
                    self.state = State::ChunkSize;
                    1
                }
                State::ChunkEnd { left } => {
                    self.state = State::ChunkEnd { left: left - 1 };
                    1
                }
                State::Trailer => self.feed_trailer(data[at]),
                State::Done => return Err("bytes after an answer".into()),
            }
        }
        Ok(matches!(self.state, State::Done))
    }

    /// Take bytes of the head; return how many belong to it.
    fn feed_head(&mut self, data: &[u8]) -> Result<usize, String> {
        let before = self.text.len();
        self.text.extend_from_slice(data);
        let from = before.saturating_sub(3);
        let Some(end) = self.text[from..]
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
        else {
            if self.text.len() > HEAD_BYTES_MAX {
                return Err("the head of an answer is too long".into());
            }
            return Ok(data.len());
        };
        let length = from + end + 4;
        self.text.truncate(length);
        self.read_head()?;
        self.text.clear();
        Ok(length - before)
    }

    fn read_head(&mut self) -> Result<(), String> {
        let digits = self
            .text
            .get(9..12)
            .and_then(|three| std::str::from_utf8(three).ok());
        self.status = digits
            .and_then(|text| text.parse().ok())
            .ok_or("no status in an answer")?;
        let mut length = None;
        let mut is_chunked = false;
        for line in self.text.split(|byte| *byte == b'\n').skip(1) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let text = std::str::from_utf8(value).unwrap_or("");
                length = Some(text.parse::<u64>().map_err(|_| "a bad content-length")?);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                is_chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if name.eq_ignore_ascii_case(b"connection") {
                self.is_closing = value.eq_ignore_ascii_case(b"close");
            }
        }
        self.state = match (self.status, is_chunked, length) {
            (100..200, ..) => State::Head,
            (204 | 304, ..) => State::Sized { left: 0 },
            (_, true, _) => State::ChunkSize,
            (_, false, Some(left)) => State::Sized { left },
            _ => return Err(format!("an answer {} without a length", self.status)),
        };
        if matches!(self.state, State::Sized { left: 0 }) {
            self.finish();
        }
        Ok(())
    }

    fn feed_chunk_size(&mut self, byte: u8) -> Result<usize, String> {
        if byte != b'\n' {
            self.text.push(byte);
            return Ok(1);
        }
        let digits = self
            .text
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or(b"")
            .trim_ascii();
        let text = std::str::from_utf8(digits).unwrap_or("");
        let left = u64::from_str_radix(text, 16).map_err(|_| "a bad chunk size")?;
        self.text.clear();
        self.state = if left == 0 {
            State::Trailer
        } else {
            State::Chunk { left }
        };
        Ok(1)
    }

    fn feed_trailer(&mut self, byte: u8) -> usize {
        match byte {
            b'\n' if self.text.is_empty() => self.finish(),
            b'\n' => self.text.clear(),
            b'\r' => {}
            _ => self.text.push(byte),
        }
        1
    }

    /// Take at most `left` bytes of the body; return how many.
    fn take_body(&mut self, data: &[u8], left: u64) -> usize {
        let count = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let part = &data[..count];
        if let (Some(expected), true) = (self.expected, self.is_success()) {
            let at = self.body_bytes as usize;
            self.is_different |= expected.get(at..at + count) != Some(part);
        }
        if !self.is_success() {
            let room = KEPT_BYTES - self.kept.len();
            self.kept.extend_from_slice(&part[..count.min(room)]);
        }
        self.body_bytes += count as u64;
        count
    }

    fn finish(&mut self) {
        self.state = State::Done;
        if let (Some(expected), true) = (self.expected, self.is_success()) {
            self.is_different |= expected.len() as u64 != self.body_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feed a whole answer in pieces of every size; it must be over at its last byte alone.
    fn feed_all<'a>(text: &[u8], expected: Option<&'a [u8]>) -> Answer<'a> {
        let mut answer = Answer::new();
        for size in 1..=text.len() {
            answer.begin(expected);
            let pieces: Vec<_> = text.chunks(size).collect();
            for (number, piece) in pieces.iter().enumerate() {
                assert_eq!(answer.feed(piece).unwrap(), number + 1 == pieces.len());
            }
        }
        answer
    }

    #[test]
    fn a_sized_body_is_compared() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert!(!feed_all(text, Some(b"abc")).is_different);
        assert!(feed_all(text, Some(b"abd")).is_different);
        assert!(feed_all(text, Some(b"abcd")).is_different);
        assert!(feed_all(text, Some(b"ab")).is_different);
        assert_eq!(feed_all(text, None).body_bytes, 3);
    }

    #[test]
    fn a_chunked_body_is_joined() {
        let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            2\r\nab\r\nA;x=y\r\n0123456789\r\n0\r\nt: u\r\n\r\n";
        assert!(!feed_all(text, Some(b"ab0123456789")).is_different);
    }

    #[test]
    fn a_refusal_is_kept() {
        let text = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbusy";
        let answer = feed_all(text, Some(b"abc"));
        assert_eq!((answer.status, answer.is_closing), (503, true));
        assert_eq!(answer.kept, b"busy");
        assert!(!answer.is_different);
    }

    #[test]
    fn what_has_no_body_ends_with_its_head() {
        feed_all(b"HTTP/1.1 204 No Content\r\n\r\n", None);
        feed_all(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            None,
        );
    }

    #[test]
    fn what_follows_is_an_error() {
        let mut answer = Answer::new();
        assert!(answer.feed(b"HTTP/1.1 204 No Content\r\n\r\nmore").is_err());
        answer.begin(None);
        assert!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
