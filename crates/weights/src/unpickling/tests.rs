use super::*;

fn scan(pickle: &[u8]) -> Result<(), Stop> {
    Scan::new(pickle).pickle()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn a_state_dict_takes_little() {
    let entry = [&text("features.0.weight")[..], b"ctorch._utils\n_rebuild_tensor_v2\n(tR"].concat();
    let pickle = [b"\x80\x02}q\x00(", &entry.repeat(10_000)[..], b"u."].concat();
    let mut found = Scan::new(pickle.as_slice());
    found.pickle().unwrap();
    assert!(found.bytes < LIMIT / 16, "{}", found.bytes);
}

#[test]
fn copies_that_double_are_too_large() {
    let doubling = [b"\x80\x02)q\0", &b"h\0h\0\x86q\0".repeat(40)[..], b"."].concat();
    assert!(matches!(scan(&doubling), Err(Stop::TooLarge)));
    let marks = [b"\x80\x02".to_vec(), b"(".repeat(20_000_000)].concat();
    assert!(matches!(scan(&marks), Err(Stop::TooLarge)));
}

#[test]
fn text_that_the_memo_copies_counts_wherever_it_is() {
    let long = "x".repeat(100_000);
    let class = [format!("c{long}\n{long}\nq\0(").as_bytes(), &b"h\0".repeat(10_000), b"t."].concat();
    assert!(matches!(scan(&class), Err(Stop::TooLarge)));
    let key = [b"}".to_vec(), text(&long), b"Nsq\0(".to_vec(), b"h\0".repeat(10_000), b"t.".to_vec()];
    assert!(matches!(scan(&key.concat()), Err(Stop::TooLarge)));
    // A tensor's name contains the keys around it.
    let tensors = [b"}".to_vec(), text(&long), b"]()(tR2".to_vec()];
    let tensors = [tensors.concat(), b"2".repeat(10_000), b"es.".to_vec()].concat();
    assert!(matches!(scan(&tensors), Err(Stop::TooLarge)));
}

#[test]
fn what_is_cut_short_is_damaged_and_the_last_key_is_known() {
    let pickle = [b"\x80\x02}(", &text("a")[..], b"K\x01", &text("weight"), b"cf\ng\n(K\x01t"].concat();
    let mut found = Scan::new(pickle.as_slice());
    assert!(matches!(found.pickle(), Err(Stop::Damaged)));
    let (start, length) = found.last_text().unwrap();
    assert_eq!(&pickle[start as usize..][..length as usize], b"weight");
    for damaged in [&b"t."[..], b"(0h\0.", b"\x85.", b"X\xff\xff\xff\x0fab", b"gx\n.", b"((\x85."] {
        assert!(matches!(scan(damaged), Err(Stop::Damaged)), "{damaged:?}");
    }
}
