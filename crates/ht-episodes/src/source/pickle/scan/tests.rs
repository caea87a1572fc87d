//! Pickles that want too much are refused before anything is built.

use std::io::Cursor;

use super::check;
use crate::source::pickle::read_from;

fn refusal(bytes: &[u8]) -> String {
    let mut reader = std::io::BufReader::new(Cursor::new(bytes));
    check(&mut reader, bytes.len() as u64).expect_err("hostile")
}

/// Opcodes between the head of protocol 4 and the end.
fn pickle(opcodes: &[u8]) -> Vec<u8> {
    [b"\x80\x04", opcodes, b"."].concat()
}

#[test]
fn depth_is_bounded() {
    let nested = |opcodes: &[u8]| pickle(&[b"N", opcodes.repeat(1_000_000).as_slice()].concat());
    assert!(refusal(&nested(b"\x85")).contains("nests deeper"));
    assert!(refusal(&nested(b"(")).contains("nests deeper"));
    let lists = [b"]".repeat(100), b"a".repeat(99)].concat();
    assert!(refusal(&pickle(&lists)).contains("nests deeper"));
    let good = [b"]".repeat(30), b"a".repeat(29)].concat();
    let mut reader = std::io::BufReader::new(Cursor::new(pickle(&good)));
    assert!(read_from(&mut reader).is_ok());
}

#[test]
fn copies_cost_what_they_copy() {
    // Each tuple holds the one before twice: 2^25 values from 100 bytes, at a depth of 25.
    let mut opcodes = b"N\x85\x94".to_vec();
    for id in 0..25 {
        opcodes.extend([b'0', b'h', id, b'h', id, 0x86, 0x94]);
    }
    assert!(refusal(&pickle(&opcodes)).contains("opcode 0x30"));
    opcodes.retain(|&byte| byte != b'0');
    assert!(refusal(&pickle(&opcodes)).contains("far more than its length"));
    // A long text in many places.
    let mut opcodes = b"]\x94(X\0\0\x10\0".to_vec();
    opcodes.extend(vec![b'a'; 1 << 20]);
    opcodes.push(0x94);
    opcodes.extend(b"h\x01".repeat(1_000));
    opcodes.push(b'e');
    assert!(refusal(&pickle(&opcodes)).contains("far more than its length"));
    // Single bytes that become values of many.
    assert!(refusal(&pickle(&b"N".repeat(8 << 20))).contains("far more than its length"));
}

#[test]
fn what_python_does_not_write_is_refused() {
    for (opcodes, words) in [
        (b"N2\x86".as_slice(), "opcode 0x32"),
        (b"]\x94h\0a", "one list"),
        (b"N\x94h\0\x94", "stores a value twice"),
        (b"Nq\0Nq\0\x86", "stores a value twice"),
        (b"h\x07", "value 7"),
        (b"Na", "takes"),
        (b"NNs", "takes"),
        (b"]]NNs", "kind of value"),
        (b"N)R", "kind of value"),
        (b"NN\x93", "kind of value"),
        (b"C\x01aC\x01b\x93", "kind of value"),
        (b"e", "never made"),
        (b"", "never made"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "cut short"),
        (b"X\xff\xff\xff\xff", "cut short"),
        (b"Pid\n", "opcode 0x50"),
    ] {
        let refusal = refusal(&pickle(opcodes));
        assert!(refusal.contains(words), "{opcodes:?}: {refusal}");
    }
    let name = pickle(&[b"c", b"m".repeat(1000).as_slice(), b"\nx\n"].concat());
    assert!(refusal(&name).contains("256 bytes"));
}
