//! The entries of a zip archive in memory that are stored without compression, as `torch.save` writes them.
//!
//! The crate `zip` is not for WebAssembly here: it takes its random numbers from JavaScript, and the page's modules have their own.

use std::collections::BTreeMap;

/// An archive that is not read, with the reason.
type Stop = &'static str;

const DAMAGED: Stop = "is a damaged zip archive";

/// The size of the record at an archive's end without its comment, which has at most 65,535 bytes.
const END: usize = 22;

/// The bytes of each entry by name.
pub(crate) type Entries<'a> = BTreeMap<String, &'a [u8]>;

/// Returns the entries of an archive.
pub(crate) fn entries(archive: &[u8]) -> Result<Entries<'_>, Stop> {
    let directory = directory(archive).ok_or("is a damaged zip archive, or cut short")?;
    let (mut rest, mut entries) = (directory, Entries::new());
    while rest.starts_with(b"PK\x01\x02") {
        let field = |at| u16_at(rest, at).map(usize::from).ok_or(DAMAGED);
        let (method, name, extra, comment) = (field(10)?, field(28)?, field(30)?, field(32)?);
        let name_of = rest.get(46..46 + name).ok_or(DAMAGED)?;
        let extra_of = rest.get(46 + name..46 + name + extra).ok_or(DAMAGED)?;
        let [unpacked, packed, start] = places(rest, extra_of).ok_or(DAMAGED)?;
        if method != 0 || unpacked != packed {
            return Err("is a compressed archive; PyTorch's are not compressed");
        }
        let bytes = stored(archive, start, packed).ok_or("is cut short within an entry of the archive")?;
        entries.insert(String::from_utf8_lossy(name_of).into_owned(), bytes);
        rest = rest.get(46 + name + extra + comment..).ok_or(DAMAGED)?;
    }
    Ok(entries)
}

/// Returns the list of entries, and what follows it.
fn directory(archive: &[u8]) -> Option<&[u8]> {
    let last = archive.len().checked_sub(END)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let at = (first..=last).rev().find(|at| archive[*at..].starts_with(b"PK\x05\x06"))?;
    let mut start = u64::from(u32_at(archive, at + 16)?);
    // An archive of more than 4 GB, or one whose writer always uses 64 bits, has another record before this one.
    let locator = at.checked_sub(20).and_then(|at| archive.get(at..));
    if let Some(locator) = locator.filter(|locator| locator.starts_with(b"PK\x06\x07")) {
        let record = usize::try_from(u64_at(locator, 8)?).ok()?;
        archive.get(record..).filter(|record| record.starts_with(b"PK\x06\x06"))?;
        start = u64_at(archive, record.checked_add(48)?)?;
    }
    archive.get(usize::try_from(start).ok()?..at)
}

/// Returns an entry's unpacked size, packed size and start. Those that do not fit in 32 bits are in the extra field 1.
fn places(entry: &[u8], mut extra: &[u8]) -> Option<[usize; 3]> {
    let mut large: &[u8] = &[];
    while let (Some(kind), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let content = extra.get(4..4 + usize::from(length))?;
        if kind == 1 {
            large = content;
        }
        extra = &extra[4 + content.len()..];
    }
    let mut place = |at| match u32_at(entry, at)? {
        u32::MAX => {
            let place = u64_at(large, 0)?;
            large = &large[8..];
            usize::try_from(place).ok()
        }
        place => Some(place as usize),
    };
    Some([place(24)?, place(20)?, place(42)?])
}

/// Returns the bytes of an entry, which follow its own header.
fn stored(archive: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    let header = archive.get(start..).filter(|header| header.starts_with(b"PK\x03\x04"))?;
    let before = 30 + usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
    header.get(before..)?.get(..length)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
