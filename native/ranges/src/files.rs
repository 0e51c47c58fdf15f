//! Files of a directory that are adopted where they lie, without reading them.

use std::ffi::CStr;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use arrow_buffer::Buffer;
use rustix::fs::{AtFlags, FileType, RawDir, statat};
use rustix::io::Errno;

use crate::entries::Entries;
use crate::ids::{IDENTITY_BYTES, identity};
use crate::text::Text;
use crate::{Invalid, Result};

const CHECKSUM_BYTES: usize = 16;
const DIGITS: &[u8; 16] = b"0123456789abcdef";
const MICROSECOND_NS: i64 = 1_000;
const SECOND_US: i64 = 1_000_000;
const READ_BYTES: usize = 64 << 10;

/// A file or a directory; a directory's name ends with a slash.
struct Item {
    start: usize,
    stop: usize,
    size_bytes: i64,
    mtime_us: i64,
}

/// Regular files and directories with UTF-8 names, in the order of the paths below them: that of
/// the bytes of the name, which for a directory ends with a slash.
#[derive(Default)]
pub struct Files {
    names: Vec<u8>,
    items: Vec<Item>,
    link: Option<Vec<u8>>,
    misnamed: Option<Vec<u8>>,
}

impl Files {
    /// Files alone, with names in ascending order.
    pub fn new(names: &[&str], sizes: &[i64], mtimes: &[i64]) -> Result<Self> {
        if sizes.len() != names.len() || mtimes.len() != names.len() {
            return Err(Invalid::new("as many sizes and times as names"));
        }
        if !names.is_sorted_by(|name, next| name.as_bytes() < next.as_bytes()) {
            return Err(Invalid::new("names of files are not in order"));
        }
        let mut files = Files::default();
        for ((name, size_bytes), mtime_us) in names.iter().zip(sizes).zip(mtimes) {
            if name.is_empty() || name.contains(['/', '\0']) {
                return Err(Invalid::new("not the name of a file"));
            }
            files.push(name.as_bytes(), "", *size_bytes, *mtime_us);
        }
        Ok(files)
    }

    /// What is in an open directory now. What goes while it is read may or may not be there; other
    /// kinds of files are left out.
    pub fn in_directory(directory: BorrowedFd<'_>) -> io::Result<Self> {
        let mut files = Files::default();
        let mut buffer = vec![MaybeUninit::uninit(); READ_BYTES];
        let mut entries = RawDir::new(directory, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                files.add(directory, name)?;
            }
        }
        let names = &files.names;
        let name = |item: &Item| &names[item.start..item.stop];
        files
            .items
            .sort_unstable_by(|one, other| name(one).cmp(name(other)));
        Ok(files)
    }

    fn add(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let status = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => status,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let name = name.to_bytes();
        if std::str::from_utf8(name).is_err() {
            keep_first(&mut self.misnamed, name);
            return Ok(());
        }
        match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => {
                let mtime_us = status.st_mtime as i64 * SECOND_US
                    + status.st_mtime_nsec as i64 / MICROSECOND_NS;
                self.push(name, "", status.st_size, mtime_us);
            }
            FileType::Directory => self.push(name, "/", 0, 0),
            FileType::Symlink => keep_first(&mut self.link, name),
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], end: &str, size_bytes: i64, mtime_us: i64) {
        let start = self.names.len();
        self.names.extend_from_slice(name);
        self.names.extend_from_slice(end.as_bytes());
        self.items.push(Item {
            start,
            stop: self.names.len(),
            size_bytes,
            mtime_us,
        });
    }

    /// Files and directories.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first name, in byte order, of a symbolic link.
    pub fn link(&self) -> Option<&[u8]> {
        self.link.as_deref()
    }

    /// The first name, in byte order, that is not UTF-8.
    pub fn misnamed(&self) -> Option<&[u8]> {
        self.misnamed.as_deref()
    }

    /// The name of a file or directory, with a slash at the end of a directory's.
    pub fn name(&self, index: usize) -> &[u8] {
        let item = &self.items[index];
        &self.names[item.start..item.stop]
    }

    fn is_directory(&self, index: usize) -> bool {
        self.name(index).ends_with(b"/")
    }

    /// Index of the first directory at or after `start`, or `len`.
    pub fn next_directory(&self, start: usize) -> usize {
        (start..self.len())
            .find(|index| self.is_directory(*index))
            .unwrap_or(self.len())
    }

    /// Rows of the files from `start` to `stop`: at `prefix` + name, of the URI `base` + name.
    pub fn rows(
        &self,
        start: usize,
        stop: usize,
        prefix: &str,
        base: &str,
        content_type: &str,
    ) -> Result<Entries> {
        if start > stop || stop > self.len() || (start..stop).any(|at| self.is_directory(at)) {
            return Err(Invalid::new("not a run of files"));
        }
        let items = &self.items[start..stop];
        let rows = items.len();
        let (mut paths, mut uris) = (Column::new(rows), Column::new(rows));
        let mut checksums = Column::new(rows);
        let mut identities = Vec::with_capacity(rows * IDENTITY_BYTES);
        let mut text = Vec::new();
        for item in items {
            let name = &self.names[item.start..item.stop];
            paths.push(&[prefix.as_bytes(), name])?;
            uris.push(&[base.as_bytes(), name])?;
            text.clear();
            text.extend_from_slice(base.as_bytes());
            text.extend_from_slice(name);
            write!(text, "\n{}\n{}", item.size_bytes, item.mtime_us)
                .map_err(|_| Invalid::new("a text could not be made"))?;
            let checksum = checksum(&text);
            checksums.push(&[&checksum])?;
            let size = item.size_bytes as u64;
            identities.extend_from_slice(&identity(size, &checksum, content_type.as_bytes(), b""));
        }
        let same = |text: &str| Text::from_texts((0..rows).map(|_| text.as_bytes()));
        Ok(Entries {
            path: paths.finish(),
            identity: Buffer::from_vec(identities),
            address: uris.finish(),
            checksum: checksums.finish(),
            size_bytes: items.iter().map(|item| item.size_bytes).collect(),
            mtime: items.iter().map(|item| item.mtime_us).collect(),
            content_type: same(content_type)?,
            metadata: same("")?,
            checksum2: same("")?,
            tombstone: None,
        })
    }
}

fn keep_first(kept: &mut Option<Vec<u8>>, name: &[u8]) {
    if kept.as_deref().is_none_or(|kept| name < kept) {
        *kept = Some(name.to_vec());
    }
}

/// The checksum of a file by its URI, size and time: 32 hex digits that say nothing of its bytes.
fn checksum(text: &[u8]) -> [u8; 2 * CHECKSUM_BYTES] {
    let found = blake2b_simd::Params::new()
        .hash_length(CHECKSUM_BYTES)
        .hash(text);
    let mut out = [0; 2 * CHECKSUM_BYTES];
    for (pair, byte) in out.chunks_exact_mut(2).zip(found.as_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

/// A column of texts made of pieces.
struct Column {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Column {
    fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Column {
            offsets,
            data: Vec::new(),
        }
    }

    fn push(&mut self, pieces: &[&[u8]]) -> Result<()> {
        for piece in pieces {
            self.data.extend_from_slice(piece);
        }
        let end = i32::try_from(self.data.len());
        self.offsets
            .push(end.map_err(|_| Invalid::new("a column of texts exceeds 2 GiB"))?);
        Ok(())
    }

    fn finish(self) -> Text {
        Text::new(self.offsets.into(), Buffer::from_vec(self.data))
    }
}
