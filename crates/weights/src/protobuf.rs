//! A bound on what a protobuf message may hold.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The largest number of inner messages. An empty one takes two bytes in a file and a hundred in memory.
pub(crate) const MANY: usize = 100_000;

/// Counts the fields of these numbers that are messages or texts, up to the point where the bytes are damaged. `levels` has the
/// numbers for the message itself, for those inside it, and so on.
pub(crate) fn messages(mut bytes: &[u8], levels: &[&[u32]]) -> usize {
    let [fields, inner @ ..] = levels else { return 0 };
    let mut count = 0;
    while let Ok((tag, wire)) = decode_key(&mut bytes) {
        if wire == WireType::LengthDelimited && fields.contains(&tag) {
            let length = decode_varint(&mut bytes).ok().and_then(|length| usize::try_from(length).ok());
            let Some((message, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
                break;
            };
            count += 1 + messages(message, inner);
            bytes = rest;
        } else if skip_field(wire, tag, &mut bytes, DecodeContext::default()).is_err() {
            break;
        }
    }
    count
}
