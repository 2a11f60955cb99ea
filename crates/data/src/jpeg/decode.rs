//! The common kind of file to pixels: grey, or YCbCr at full, half or quarter colour resolution, one scan. Whatever is not
//! exactly that, or is damaged in any way, is left to the library, which knows all kinds and says what is wrong.
//!
//! Results are those of libjpeg's defaults to the bit: the "slow" cosine transform in integers, colour interpolated by
//! "fancy upsampling".

use std::cell::RefCell;
use std::num::Wrapping;
use std::ops::Range;
use std::rc::Rc;

use pulp::{Arch, Simd, WithSimd};

use super::{ZIGZAG, transposed};

/// Bits that the tables of codes are entered with.
const LOOKUP: u32 = 11;

/// Added to a place in a block by the end of the block: whatever the place, it is then beyond the last.
const END: u8 = 64;

/// Eight rows of eight coefficients; those of damaged files may be so large that what comes of them has no meaning.
type Block = [[Wrapping<i32>; 8]; 8];

/// Bits after the point of the transform's constants, and of what it has after the first pass.
const CONSTANT: usize = 13;
const FIRST_PASS: usize = 2;

/// A table of Huffman codes.
struct Codes {
    /// By the next bits: the symbol and the length of its code, 0 if it is longer than [`LOOKUP`].
    short: Box<[(u8, u8); 1 << LOOKUP]>,
    /// By the next bits, where a coefficient's code and bits all fit: the coefficient, the zeros before it, the length of
    /// all of it; 0 where they do not. The end of a block is [`END`] zeros.
    whole: Box<[(i16, u8, u8); 1 << LOOKUP]>,
    /// Of each length, the first code beyond it, at the top of 16 bits, and what added to a code gives its symbol.
    ends: [u32; 18],
    offsets: [i32; 17],
    lengths: [u8; 16],
    symbols: Vec<u8>,
}

/// Tables that a thread keeps: four an image, and most images have the same.
const TABLES: usize = 8;

impl Codes {
    /// The table of a file, which may be that of a file before it.
    fn of(lengths: &[u8; 16], symbols: &[u8]) -> Option<Rc<Self>> {
        thread_local!(static RECENT: RefCell<Vec<Rc<Codes>>> = const { RefCell::new(Vec::new()) });
        RECENT.with_borrow_mut(|recent| {
            let same = |codes: &&Rc<Codes>| codes.lengths == *lengths && codes.symbols == symbols;
            if let Some(codes) = recent.iter().find(same) {
                return Some(codes.clone());
            }
            let codes = Rc::new(Self::new(lengths, symbols)?);
            if recent.len() == TABLES {
                recent.remove(0);
            }
            recent.push(codes.clone());
            Some(codes)
        })
    }

    fn new(lengths: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut codes = Self {
            lengths: *lengths,
            short: Box::new([(0, 0); 1 << LOOKUP]),
            whole: Box::new([(0, 0, 0); 1 << LOOKUP]),
            ends: [0; 18],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut at) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(lengths) {
            codes.offsets[length as usize] = at as i32 - code as i32;
            for _ in 0..count {
                let symbol = *symbols.get(at)?;
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOKUP {
                    let first = (code << (LOOKUP - length)) as usize;
                    codes.short[first..first + (1 << (LOOKUP - length))].fill((symbol, length as u8));
                }
                code += 1;
                at += 1;
            }
            codes.ends[length as usize] = code << (16 - length);
            code <<= 1;
        }
        codes.ends[17] = u32::MAX;
        for (bits, whole) in codes.whole.iter_mut().enumerate() {
            let (symbol, length) = codes.short[bits];
            let (zeros, size) = (symbol >> 4, u32::from(symbol & 15));
            let total = u32::from(length) + size;
            if length > 0 && size > 0 && total <= LOOKUP {
                let value = (bits as u32 >> (LOOKUP - total)) & ((1 << size) - 1);
                *whole = (extended(value, size) as i16, zeros, total as u8);
            } else if length > 0 && symbol == 0 {
                *whole = (0, END, length);
            }
        }
        (at == symbols.len()).then_some(codes)
    }
}

/// The coefficient that bits of a size stand for (table F.1).
#[inline(always)]
fn extended(value: u32, size: u32) -> i32 {
    let value = value as i32;
    if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
}

#[derive(Clone, Copy)]
struct Component {
    across: usize,
    down: usize,
    steps: usize,
    dc: usize,
    ac: usize,
}

/// Pixels of an image that matter.
pub(crate) struct Window {
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
}

impl Window {
    /// All of an image.
    pub(crate) fn whole(width: usize, height: usize) -> Self {
        Self { rows: 0..height, columns: 0..width }
    }
}

/// What stands before the pixels.
struct Header {
    width: usize,
    height: usize,
    components: Vec<Component>,
    /// Quantization steps, by rows.
    steps: [Option<[i32; 64]>; 4],
    dc: [Option<Rc<Codes>>; 4],
    ac: [Option<Rc<Codes>>; 4],
    /// Units between restarts; 0 for none.
    restart: usize,
}

/// Bits of a scan: a window of 64 with the next bit on top. Copied, so that it may live in registers.
#[derive(Clone, Copy)]
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    window: u64,
    count: u32,
    /// Bits at the end of the window that are not the file's: it has come to a marker.
    made_up: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, window: 0, count: 0, made_up: 0 }
    }

    /// Has at least 32 bits in the window: more than a code and its bits.
    #[inline(always)]
    fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let next = u64::from_be_bytes(*eight);
            // No byte of ones: the lowest bit that a carry of 1 into each byte leaves.
            let ones = next & 0x8080_8080_8080_8080 & (!next).wrapping_sub(0x0101_0101_0101_0101);
            if ones == 0 {
                self.window |= next >> self.count;
                self.at += ((63 - self.count) >> 3) as usize;
                self.count |= 56;
                return;
            }
        }
        *self = self.refilled_slowly();
    }

    #[cold]
    #[inline(never)]
    fn refilled_slowly(mut self) -> Self {
        while self.count <= 56 {
            let byte = match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(&byte), _) if byte != 0xff => {
                    self.at += 1;
                    byte
                }
                _ => {
                    self.made_up += 8;
                    0
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    #[inline(always)]
    fn peek(&self, count: u32) -> u32 {
        (self.window >> (64 - count)) as u32
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.window <<= count;
        self.count -= count;
    }

    /// The next symbol.
    #[inline(always)]
    fn symbol(&mut self, codes: &Codes) -> Option<u8> {
        let (symbol, length) = codes.short[self.peek(LOOKUP) as usize];
        if length > 0 {
            self.skip(length.into());
            return Some(symbol);
        }
        let next = self.peek(16);
        let length = (LOOKUP + 1..=17).find(|&length| next < codes.ends[length as usize])?;
        let offset = codes.offsets.get(length as usize)?;
        let symbol = codes.symbols.get(usize::try_from((next >> (16 - length)) as i32 + offset).ok()?)?;
        self.skip(length);
        Some(*symbol)
    }

    /// A coefficient of a size.
    #[inline(always)]
    fn value(&mut self, size: u32) -> i32 {
        let value = extended(self.peek(size), size);
        self.skip(size);
        value
    }

    /// Whether bits have been used that are not the file's.
    fn overrun(&self) -> bool {
        self.count < self.made_up
    }
}

/// The pixels of a file of the common kind: `[height, width, 3]`, in a vector that has served before, with width and
/// height. Told these two, `window` says which pixels will be looked at; the others need not be right. An error leaves
/// the file to others.
pub(crate) fn decode(
    mut buffer: Vec<u8>,
    bytes: &[u8],
    limit: usize,
    window: impl Fn(usize, usize) -> Window,
) -> Result<(Vec<u8>, usize, usize), Vec<u8>> {
    let Some((header, at)) = header(bytes) else { return Err(buffer) };
    if header.width * header.height > limit {
        return Err(buffer);
    }
    let (width, height) = (header.width, header.height);
    buffer.resize(width * height * 3, 0);
    let window = window(width, height);
    let scan = Scan { header: &header, bytes, at, window, planar: false, out: &mut buffer };
    match Arch::new().dispatch(scan) {
        Some(()) => Ok((buffer, width, height)),
        None => Err(buffer),
    }
}

/// The pixels of a file of the common kind as planes, `[3, side, side]`; those outside `window` need not be right. An error
/// leaves the file, or one of another size, to others.
pub(crate) fn decode_planes(
    mut buffer: Vec<u8>,
    bytes: &[u8],
    side: usize,
    window: Window,
) -> Result<Vec<u8>, Vec<u8>> {
    let Some((header, at)) = header(bytes) else { return Err(buffer) };
    if [header.width, header.height] != [side; 2] {
        return Err(buffer);
    }
    buffer.resize(side * side * 3, 0);
    match Arch::new().dispatch(Scan { header: &header, bytes, at, window, planar: true, out: &mut buffer }) {
        Some(()) => Ok(buffer),
        None => Err(buffer),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

/// Reads up to the scan; where that begins.
fn header(bytes: &[u8]) -> Option<(Header, usize)> {
    let mut header = Header {
        width: 0,
        height: 0,
        components: Vec::new(),
        steps: [None; 4],
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        restart: 0,
    };
    let mut names = Vec::new();
    let mut at = 2;
    loop {
        let [0xff, marker] = *bytes.get(at..)?.first_chunk::<2>()? else { return None };
        let length = word(bytes, at + 2)?;
        let body = bytes.get(at + 4..at + 2 + length)?;
        at += 2 + length;
        match marker {
            // Application data and comments; Adobe's says how colours are coded.
            0xee if body.starts_with(b"Adobe") && body.get(11) != Some(&1) => return None,
            0xe0..=0xef | 0xfe => {}
            0xdb => quantization(body, &mut header.steps)?,
            0xc4 => codes(body, &mut header)?,
            0xdd => header.restart = word(body, 0)?,
            0xc0 | 0xc1 if names.is_empty() => {
                let [8, ..] = body else { return None };
                (header.height, header.width) = (word(body, 1)?, word(body, 3)?);
                let count = usize::from(*body.get(5)?);
                if header.width == 0 || header.height == 0 || body.len() != 6 + 3 * count {
                    return None;
                }
                for part in body[6..].as_chunks::<3>().0 {
                    names.push(part[0]);
                    let (across, down) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
                    let steps = usize::from(part[2]);
                    header.components.push(Component { across, down, steps, dc: 0, ac: 0 });
                }
            }
            0xda => {
                scan_header(body, &names, &mut header)?;
                return Some((header, at));
            }
            _ => return None,
        }
    }
}

fn quantization(mut body: &[u8], steps: &mut [Option<[i32; 64]>; 4]) -> Option<()> {
    while let Some((&kind, rest)) = body.split_first() {
        // Steps of sixteen bits are unusual.
        let table = steps.get_mut(usize::from(kind))?;
        let coded = rest.first_chunk::<64>()?;
        let mut by_rows = [0; 64];
        for (&step, &place) in coded.iter().zip(&ZIGZAG) {
            by_rows[usize::from(place)] = step.into();
        }
        *table = Some(by_rows);
        body = &rest[64..];
    }
    Some(())
}

fn codes(mut body: &[u8], header: &mut Header) -> Option<()> {
    while let Some((&kind, rest)) = body.split_first() {
        let lengths = rest.first_chunk::<16>()?;
        let count: usize = lengths.iter().map(|&count| usize::from(count)).sum();
        let symbols = rest.get(16..16 + count)?;
        let tables = if kind >> 4 == 0 { &mut header.dc } else { &mut header.ac };
        if kind > 0x1f {
            return None;
        }
        *tables.get_mut(usize::from(kind & 15))? = Some(Codes::of(lengths, symbols)?);
        body = &rest[16 + count..];
    }
    Some(())
}

fn scan_header(body: &[u8], names: &[u8], header: &mut Header) -> Option<()> {
    let count = header.components.len();
    if body.len() != 4 + 2 * count || usize::from(body[0]) != count || body[2 * count + 1..] != [0, 63, 0] {
        return None;
    }
    for ((part, name), component) in
        body[1..].as_chunks::<2>().0.iter().zip(names).zip(&mut header.components)
    {
        if part[0] != *name {
            return None;
        }
        (component.dc, component.ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        header.steps.get(component.steps)?.as_ref()?;
        header.dc.get(component.dc)?.as_ref()?;
        header.ac.get(component.ac)?.as_ref()?;
    }
    match header.components.as_mut_slice() {
        // The sampling of a single component means nothing.
        [grey] => (grey.across, grey.down) = (1, 1),
        [luminance, blue, red] => {
            let whole = |component: &Component| (component.across, component.down) == (1, 1);
            let known = matches!((luminance.across, luminance.down), (1, 1) | (2, 1) | (2, 2));
            // Components called R, G and B are just that.
            if !known || !whole(blue) || !whole(red) || names == b"RGB" {
                return None;
            }
        }
        _ => return None,
    }
    Some(())
}

/// A component's samples: whole blocks.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows that show something.
    height: usize,
}

/// Units that pixels are needed of, across or down: those of the window and of two pixels around it, which colours are
/// interpolated from.
fn units(pixels: &Range<usize>, side: usize, units: usize) -> Range<usize> {
    pixels.start.saturating_sub(2) / side..(pixels.end + 2).div_ceil(side).min(units)
}

struct Scan<'a> {
    header: &'a Header,
    bytes: &'a [u8],
    at: usize,
    window: Window,
    planar: bool,
    out: &'a mut [u8],
}

impl WithSimd for Scan<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<()> {
        let Self { header, bytes, at, window, planar, out } = self;
        let (across, down) = (header.components[0].across, header.components[0].down);
        let units_across = header.width.div_ceil(8 * across);
        let units_down = header.height.div_ceil(8 * down);
        let columns = units(&window.columns, 8 * across, units_across);
        let rows = units(&window.rows, 8 * down, units_down);
        let mut planes: Vec<Plane> = header
            .components
            .iter()
            .map(|component| {
                let stride = units_across * component.across * 8;
                Plane {
                    samples: vec![0; stride * units_down * component.down * 8],
                    stride,
                    height: (header.height * component.down).div_ceil(down),
                }
            })
            .collect();
        let mut bits = Bits::new(bytes, at);
        let mut before = [0i32; 3];
        let mut until_restart = header.restart;
        for unit in 0..units_across * units_down {
            if header.restart > 0 && until_restart == 0 {
                bits = restarted(&bits, unit / header.restart - 1)?;
                before = [0; 3];
                until_restart = header.restart;
            }
            until_restart = until_restart.wrapping_sub(1);
            let (row, column) = (unit / units_across, unit % units_across);
            let seen = rows.contains(&row) && columns.contains(&column);
            for ((component, plane), before) in header.components.iter().zip(&mut planes).zip(&mut before) {
                let (dc, ac) = (header.dc[component.dc].as_ref()?, header.ac[component.ac].as_ref()?);
                let steps = header.steps[component.steps].as_ref()?;
                if !seen {
                    for _ in 0..component.down * component.across {
                        coefficients::<false>(&mut bits, dc, ac, before)?;
                    }
                    continue;
                }
                for y in 0..component.down {
                    for x in 0..component.across {
                        let (top, left) =
                            ((row * component.down + y) * 8, (column * component.across + x) * 8);
                        let target = &mut plane.samples[top * plane.stride + left..];
                        block(&mut bits, dc, ac, steps, before, target, plane.stride)?;
                    }
                }
            }
            if bits.overrun() {
                return None;
            }
        }
        ends(&bits)?;
        let columns = columns.start * 8 * across..(columns.end * 8 * across).min(header.width);
        let rows = rows.start * 8 * down..(rows.end * 8 * down).min(header.height);
        match planes.as_slice() {
            [grey] => {
                let area = header.width * header.height;
                for y in rows {
                    let (first, part) = (y * header.width + columns.start, grey.part(y, &columns));
                    if planar {
                        for plane in out.chunks_exact_mut(area) {
                            plane[first..first + part.len()].copy_from_slice(part);
                        }
                        continue;
                    }
                    let out = &mut out[first * 3..][..part.len() * 3];
                    for (out, &level) in out.as_chunks_mut::<3>().0.iter_mut().zip(part) {
                        *out = [level; 3];
                    }
                }
            }
            [luminance, blue, red] => {
                let mut target = match planar {
                    false => Target::Interleaved(out, vec![0; columns.len()]),
                    true => {
                        let (red, rest) = out.split_at_mut(header.width * header.height);
                        let (green, blue) = rest.split_at_mut(red.len());
                        Target::Planes([red, green, blue])
                    }
                };
                let size = [across, down, header.width];
                colours(luminance, blue, red, size, &rows, &columns, &mut target);
            }
            _ => return None,
        }
        Some(())
    }
}

/// The bits behind the next restart marker, which must be the one that is due.
fn restarted<'a>(bits: &Bits<'a>, number: usize) -> Option<Bits<'a>> {
    let at = marker(bits)?;
    let due = 0xd0 + (number % 8) as u8;
    (bits.bytes.get(at + 1) == Some(&due)).then(|| Bits::new(bits.bytes, at + 2))
}

/// Where the next marker is, if nothing but the rest of a byte is left before it.
fn marker(bits: &Bits<'_>) -> Option<usize> {
    // All that is left of the file before the marker must be in the window by now, in less than a byte.
    let rest = bits.refilled_slowly();
    (rest.count - rest.made_up.min(rest.count) < 8 && rest.bytes.get(rest.at) == Some(&0xff))
        .then_some(rest.at)
}

/// Whether the scan is followed by the end of the image.
fn ends(bits: &Bits<'_>) -> Option<()> {
    let at = marker(bits)?;
    (bits.bytes.get(at + 1) == Some(&0xd9)).then_some(())
}

/// Decodes a block to eight rows of samples.
#[inline(always)]
fn block(
    bits: &mut Bits<'_>,
    dc: &Codes,
    ac: &Codes,
    steps: &[i32; 64],
    before: &mut i32,
    target: &mut [u8],
    stride: usize,
) -> Option<()> {
    let (values, flat) = coefficients::<true>(bits, dc, ac, before)?;
    let target = target.chunks_mut(stride).take(8);
    if flat {
        let level = byte((i32::from(values[0]) * steps[0] + 4) >> 3);
        for row in target {
            row.first_chunk_mut::<8>()?.fill(level);
        }
        return Some(());
    }
    let mut scaled = [[Wrapping(0); 8]; 8];
    for ((scaled, &value), &step) in scaled.as_flattened_mut().iter_mut().zip(&values).zip(steps) {
        *scaled = Wrapping(i32::from(value) * step);
    }
    let columns = transform(&scaled, CONSTANT - FIRST_PASS);
    let values = transposed(&transform(&transposed(&columns), CONSTANT + FIRST_PASS + 3));
    // All at once: in eights the compiler does one by one what it could do side by side.
    let mut samples = [0u8; 64];
    for (sample, &value) in samples.iter_mut().zip(values.as_flattened()) {
        *sample = byte(value.0);
    }
    for (row, samples) in target.zip(samples.as_chunks::<8>().0) {
        *row.first_chunk_mut::<8>()? = *samples;
    }
    Some(())
}

/// Reads a block's coefficients, by rows, and whether all but the first are 0; where they are not kept, only past them.
#[inline(always)]
fn coefficients<const KEPT: bool>(
    bits: &mut Bits<'_>,
    dc: &Codes,
    ac: &Codes,
    before: &mut i32,
) -> Option<([i16; 64], bool)> {
    let mut values = [0i16; 64];
    let state = bits;
    let mut bits = *state;
    bits.refill();
    let size = u32::from(bits.symbol(dc)?);
    if size > 11 {
        return None;
    }
    if size > 0 {
        *before += bits.value(size);
    }
    // Beyond what twelve bits hold nothing valid goes; what does is cut short without harm.
    values[0] = *before as i16;
    let (mut at, mut last) = (1usize, 0);
    loop {
        bits.refill();
        let (value, zeros, length) = ac.whole[bits.peek(LOOKUP) as usize];
        let value = if length > 0 {
            at += usize::from(zeros);
            bits.skip(length.into());
            if at > 63 {
                if zeros == END {
                    break;
                }
                return None;
            }
            value
        } else {
            let symbol = bits.symbol(ac)?;
            let size = u32::from(symbol & 15);
            at += usize::from(symbol >> 4);
            match (symbol, size) {
                (0x00, _) => break,
                // Sixteen zeros: fifteen, and the one that is stored below.
                (0xf0, _) => {}
                (_, 0 | 11..) => return None,
                _ => {}
            }
            if at > 63 {
                return None;
            }
            if size == 0 { 0 } else { bits.value(size) as i16 }
        };
        if KEPT {
            values[usize::from(ZIGZAG[at])] = value;
        }
        last = at;
        at += 1;
        if at > 63 {
            break;
        }
    }
    *state = bits;
    Some((values, last == 0))
}

/// A sample about zero as a byte.
#[inline(always)]
fn byte(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

/// The inverse cosine transform down each column of eight rows (Loeffler, Ligtenberg and Moschytz 1989) in whole numbers, with
/// `bits` shifted out, rounded: those of libjpeg, of which every library has the pixels.
#[inline(always)]
fn transform(x: &Block, bits: usize) -> Block {
    const fn constant(value: f64) -> Wrapping<i32> {
        Wrapping((value * (1 << CONSTANT) as f64 + 0.5) as i32)
    }
    let half = Wrapping(1 << (bits - 1));
    let mut out = [[Wrapping(0); 8]; 8];
    for at in 0..8 {
        let [x0, x1, x2, x3, x4, x5, x6, x7] = std::array::from_fn(|row| x[row][at]);
        // Even.
        let z = (x2 + x6) * const { constant(0.541_196_100) };
        let (t2, t3) =
            (z - x6 * const { constant(1.847_759_065) }, z + x2 * const { constant(0.765_366_865) });
        let (t0, t1) = ((x0 + x4) << CONSTANT, (x0 - x4) << CONSTANT);
        let (e0, e3, e1, e2) = (t0 + t3, t0 - t3, t1 + t2, t1 - t2);
        // Odd.
        let (z1, z2, z3, z4) = (x7 + x1, x5 + x3, x7 + x3, x5 + x1);
        let z5 = (z3 + z4) * const { constant(1.175_875_602) };
        let (z1, z2) = (z1 * const { constant(0.899_976_223) }, z2 * const { constant(2.562_915_447) });
        let (z3, z4) =
            (z5 - z3 * const { constant(1.961_570_560) }, z5 - z4 * const { constant(0.390_180_644) });
        let o0 = x1 * const { constant(1.501_321_110) } - z1 + z4;
        let o1 = x3 * const { constant(3.072_711_026) } - z2 + z3;
        let o2 = x5 * const { constant(2.053_119_869) } - z2 + z4;
        let o3 = x7 * const { constant(0.298_631_336) } - z1 + z3;
        for (row, (even, odd)) in [(e0, o0), (e1, o1), (e2, o2), (e3, o3)].into_iter().enumerate() {
            out[row][at] = (even + odd + half) >> bits;
            out[7 - row][at] = (even - odd + half) >> bits;
        }
    }
    out
}

/// Where red, green and blue go: pixel by pixel, with room for a row of them, or plane by plane.
enum Target<'a> {
    Interleaved(&'a mut [u8], Vec<u32>),
    Planes([&'a mut [u8]; 3]),
}

impl Target<'_> {
    /// A row from its place on.
    #[inline(always)]
    fn row(&mut self, first: usize, luma: &[u8], cb: &[u8], cr: &[u8]) {
        match self {
            Self::Interleaved(out, words) => {
                convert(luma, cb, cr, words, &mut out[first * 3..][..luma.len() * 3]);
            }
            Self::Planes(planes) => {
                let [red, green, blue] = planes.each_mut().map(|plane| &mut plane[first..first + luma.len()]);
                let inputs = luma.iter().zip(cb).zip(cr);
                for ((((&y, &cb), &cr), red), (green, blue)) in
                    inputs.zip(red).zip(green.iter_mut().zip(blue))
                {
                    [*red, *green, *blue] = colour(y, cb, cr).map(|level| level as u8);
                }
            }
        }
    }
}

/// Samples to colours, of some rows and columns that begin at whole units. `across` and `down` are how many pixels share
/// a sample of colour, `width` is the image's.
#[inline(always)]
fn colours(
    luminance: &Plane,
    blue: &Plane,
    red: &Plane,
    [across, down, width]: [usize; 3],
    rows: &Range<usize>,
    columns: &Range<usize>,
    target: &mut Target<'_>,
) {
    let narrow = columns.start / across..columns.end.div_ceil(across);
    // Sums of rows, and rows at full width.
    let mut sums = vec![0u16; narrow.len()];
    let mut wide = [vec![0u8; 2 * narrow.len()], vec![0u8; 2 * narrow.len()]];
    for y in rows.clone() {
        let first = y * width + columns.start;
        let luma = luminance.part(y, columns);
        let [cb, cr] = [blue, red].map(|plane| plane.part(y / down, &narrow));
        if across == 1 {
            target.row(first, luma, cb, cr);
            continue;
        }
        for (plane, wide) in [blue, red].into_iter().zip(&mut wide) {
            let near = plane.part(y / down, &narrow);
            if down == 1 {
                widened(near, wide);
            } else {
                // The other row that this one lies between, three to one; at an edge the same.
                let other =
                    if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(plane.height - 1) };
                for ((sum, &near), &far) in sums.iter_mut().zip(near).zip(plane.part(other, &narrow)) {
                    *sum = 3 * u16::from(near) + u16::from(far);
                }
                widened_sums(&sums, wide);
            }
        }
        target.row(first, luma, &wide[0][..luma.len()], &wide[1][..luma.len()]);
    }
}

impl Plane {
    #[inline(always)]
    fn part(&self, y: usize, columns: &Range<usize>) -> &[u8] {
        &self.samples[y * self.stride..][columns.clone()]
    }
}

/// A row at twice its width: each sample is three parts the nearer one and one part the other.
#[inline(always)]
fn widened(row: &[u8], out: &mut [u8]) {
    let last = row.len() - 1;
    let pairs = out.as_chunks_mut::<2>().0;
    for (pair, three) in pairs[1..].iter_mut().zip(row.windows(3)) {
        let [before, here, after] = [three[0], three[1], three[2]].map(u16::from);
        *pair = [((3 * here + before + 1) >> 2) as u8, ((3 * here + after + 2) >> 2) as u8];
    }
    let after = u16::from(row[last.min(1)]);
    pairs[0] = [row[0], ((3 * u16::from(row[0]) + after + 2) >> 2) as u8];
    if last > 0 {
        let before = u16::from(row[last - 1]);
        pairs[last] = [((3 * u16::from(row[last]) + before + 1) >> 2) as u8, row[last]];
    } else {
        pairs[0] = [row[0]; 2];
    }
}

/// The same of rows that are four times too bright.
#[inline(always)]
fn widened_sums(row: &[u16], out: &mut [u8]) {
    let last = row.len() - 1;
    let pairs = out.as_chunks_mut::<2>().0;
    for (pair, three) in pairs[1..].iter_mut().zip(row.windows(3)) {
        let (before, here, after) = (three[0], three[1], three[2]);
        *pair = [((3 * here + before + 8) >> 4) as u8, ((3 * here + after + 7) >> 4) as u8];
    }
    let edges = [(row[0] * 4 + 8) >> 4, (row[last] * 4 + 7) >> 4].map(|edge| edge as u8);
    if last == 0 {
        pairs[0] = edges;
        return;
    }
    pairs[0] = [edges[0], ((3 * row[0] + row[1] + 7) >> 4) as u8];
    pairs[last] = [((3 * row[last] + row[last - 1] + 8) >> 4) as u8, edges[1]];
}

/// Red, green and blue of luminance and colour differences (ITU-R BT.601 as in JFIF), 0 to 255.
#[inline(always)]
fn colour(y: u8, cb: u8, cr: u8) -> [i32; 3] {
    // In units of 1/65536, rounded, as libjpeg.
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = ((i32::from(y) << 16) + HALF, i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + 91_881 * cr;
    let green = y - 22_554 * cb - 46_802 * cr;
    let blue = y + 116_130 * cb;
    [red, green, blue].map(|value| (value >> 16).clamp(0, 255))
}

/// A row to pixels, interleaved; `words` has one each.
#[inline(always)]
fn convert(luma: &[u8], cb: &[u8], cr: &[u8], words: &mut [u32], out: &mut [u8]) {
    for (((word, &y), &cb), &cr) in words.iter_mut().zip(luma).zip(cb).zip(cr) {
        let [red, green, blue] = colour(y, cb, cr).map(|level| level as u32);
        *word = red | green << 8 | blue << 16;
    }
    // Four pixels become twelve bytes in three words: three bytes at a time the compiler takes out of vectors one by one.
    let (twelves, rest) = out.as_chunks_mut::<12>();
    let (fours, _) = words.as_chunks::<4>();
    for (out, &[a, b, c, d]) in twelves.iter_mut().zip(fours) {
        let words = [a | b << 24, b >> 8 | c << 16, c >> 16 | d << 8];
        out.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(out, word)| *out = word.to_le_bytes());
    }
    let beyond = luma.len() / 4 * 4;
    for (out, word) in rest.as_chunks_mut::<3>().0.iter_mut().zip(&words[beyond..]) {
        let [red, green, blue, _] = word.to_le_bytes();
        *out = [red, green, blue];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;

    fn corpus(name: &str) -> Vec<u8> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/image");
        std::fs::read(root.join(name)).unwrap()
    }

    fn fast(bytes: &[u8]) -> Option<(Vec<u8>, usize, usize)> {
        decode(Vec::new(), bytes, 1 << 26, Window::whole).ok()
    }

    fn made(width: u16, height: u16, sampling: jpeg_encoder::SamplingFactor, restart: u16) -> Vec<u8> {
        let pixel = |at: usize| {
            let (x, y) = (at % usize::from(width), at / usize::from(width));
            [x * 5 + y, (x * y) % 251, 255 - (x * 3 + y * 7) % 256].map(|value| value as u8)
        };
        let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height)).flat_map(pixel).collect();
        let mut out = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut out, 85);
        encoder.set_sampling_factor(sampling);
        if restart > 0 {
            encoder.set_restart_interval(restart);
        }
        encoder.encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
        out
    }

    #[test]
    fn pixels_are_the_librarys_within_rounding() {
        use jpeg_encoder::SamplingFactor::{F_1_1, F_2_1, F_2_2};
        for sampling in [F_1_1, F_2_1, F_2_2] {
            for (width, height) in [(64, 48), (33, 17), (16, 16), (7, 90), (1, 1), (2, 3), (500, 11)] {
                for restart in [0, 3] {
                    let file = made(width, height, sampling, restart);
                    let (ours, wide, tall) = fast(&file).expect("the common kind");
                    let theirs = decode::by_library(Vec::new(), &file, 3).unwrap();
                    assert_eq!((wide, tall), (theirs.width, theirs.height));
                    let differences = ours.iter().zip(&theirs.bytes).map(|(a, b)| f64::from(a.abs_diff(*b)));
                    let mean = differences.sum::<f64>() / ours.len() as f64;
                    // The library rounds colour more coarsely than libjpeg, which the next test compares with.
                    assert!(mean < 0.7, "{width} × {height} {sampling:?}: {mean}");
                }
            }
        }
    }

    /// Against libjpeg, by `tests/golden/decoded.py`.
    #[test]
    fn pixels_are_libjpegs() {
        let golden = include_bytes!("../../../../tests/golden/decoded.bin");
        let names = ["baseline.jpg", "full-colour.jpg", "half-colour.jpg", "grey.jpg", "turned.jpg"];
        for (name, theirs) in names.iter().zip(golden.chunks_exact(17 * 13 * 3)) {
            let (ours, width, height) = fast(&corpus(name)).expect("the common kind");
            assert_eq!((width, height), (17, 13));
            assert!(ours == theirs, "{name}");
        }
    }

    #[test]
    fn pixels_in_a_window_are_those_of_the_whole_image() {
        use jpeg_encoder::SamplingFactor::{F_1_1, F_2_1, F_2_2};
        for sampling in [F_1_1, F_2_1, F_2_2] {
            for (width, height) in [(133, 57), (57, 133), (64, 64), (77, 77), (9, 31)] {
                let file = made(width, height, sampling, 2);
                let (whole, wide, tall) = fast(&file).unwrap();
                let (rows, columns) = (tall / 3..tall - tall / 4, wide / 3..wide - wide / 5);
                let window = |_, _| Window { rows: rows.clone(), columns: columns.clone() };
                let (part, ..) = decode(Vec::new(), &file, 1 << 26, window).unwrap();
                if width == height {
                    let window = Window { rows: rows.clone(), columns: columns.clone() };
                    let planes = decode_planes(Vec::new(), &file, wide, window).unwrap();
                    let same = |(y, x)| {
                        (0..3).all(|c| planes[(c * tall + y) * wide + x] == whole[(y * wide + x) * 3 + c])
                    };
                    assert!(rows.clone().flat_map(|y| columns.clone().map(move |x| (y, x))).all(same));
                }
                for y in rows.clone() {
                    let range = (y * wide + columns.start) * 3..(y * wide + columns.end) * 3;
                    assert_eq!(part[range.clone()], whole[range], "{width} × {height} {sampling:?}, row {y}");
                }
            }
        }
    }

    #[test]
    fn other_kinds_are_left_to_the_library() {
        for name in ["progressive.jpg", "cmyk.jpg", "colour.png"] {
            assert!(fast(&corpus(name)).is_none(), "{name}");
        }
        for name in ["baseline.jpg", "full-colour.jpg", "grey.jpg", "turned.jpg"] {
            assert!(fast(&corpus(name)).is_some(), "{name}");
        }
    }

    #[test]
    fn a_file_cut_short_anywhere_is_left_to_the_library() {
        let file = made(40, 40, jpeg_encoder::SamplingFactor::F_2_2, 2);
        for length in 0..file.len() - 1 {
            assert!(fast(&file[..length]).is_none(), "{length} of {}", file.len());
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x55;
            let _ = fast(&damaged);
        }
    }
}
