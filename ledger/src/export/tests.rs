use std::io::Cursor;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ids::{Seq, TreeSize};
use crate::store::LogStore as _;
use crate::verify::{Item, SourceError};

fn written() -> Vec<u8> {
    let mut writer = ExportWriter::new(Vec::new()).unwrap();
    writer.event(b"header 0", Some(b"body 0")).unwrap();
    writer.seal(b"seal of 1").unwrap();
    writer.event(b"header 1", Some(b"")).unwrap();
    writer.event(b"header 2", None).unwrap();
    writer.seal(b"seal of 3").unwrap();
    let (bytes, counts) = writer.finish().unwrap();
    assert_eq!(counts, Counts { events: 3, seals: 2 });
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
    let mut read = Vec::new();
    for item in ExportReader::new(Cursor::new(bytes)) {
        read.push(match item.map_err(|error| error.to_string())? {
            Item::Event { header, body, nodes: None } => format!("{header:?} {body:?}"),
            Item::Event { .. } => unreachable!("an export keeps no nodes"),
            Item::Seal(seal) => format!("{seal:?}"),
        });
    }
    Ok(read)
}

#[test]
fn what_is_written_reads_back_in_order() {
    let expected = [
        r#"b"header 0" Some(b"body 0")"#,
        r#"b"seal of 1""#,
        r#"b"header 1" Some(b"")"#,
        r#"b"header 2" None"#,
        r#"b"seal of 3""#,
    ];
    assert_eq!(read(&written()).unwrap(), expected);
}

/// `docs/format.md`, section 10, byte for byte.
#[test]
fn the_bytes_are_the_documented_ones() {
    let mut writer = ExportWriter::new(Vec::new()).unwrap();
    writer.event(b"h", Some(b"bo")).unwrap();
    writer.event(b"h", None).unwrap();
    writer.seal(b"s").unwrap();
    let (bytes, _) = writer.finish().unwrap();
    let expected = [
        b"chancery export 1\n".as_slice(),
        b"E\0\0\0\x08\0\0\0\x01h\x01bo",
        b"E\0\0\0\x06\0\0\0\x01h\0",
        b"S\0\0\0\x01s",
        b"Z\0\0\0\x10\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01",
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn every_place_where_it_is_cut_short_is_noticed() {
    let whole = written();
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "cut to {length} bytes");
    }
    let mut more = whole.clone();
    more.push(0);
    assert!(read(&more).is_err(), "something follows its end");
}

#[test]
fn lengths_are_bounded_before_memory_is_taken() {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(b"E\xff\xff\xff\xff");
    assert!(read(&bytes).unwrap_err().contains("longer"));
    let header = vec![0; FRAME_BYTES_MAX as usize];
    assert!(ExportWriter::new(Vec::new()).unwrap().event(&header, None).is_err());
}

#[test]
fn events_and_seals_are_found_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("export");
    std::fs::write(&path, written()).unwrap();
    let log = ExportLog::open(&path).unwrap();
    assert_eq!(log.size(), TreeSize(3));
    assert_eq!(log.record(Seq(2)).unwrap().unwrap().header, Bytes::from_static(b"header 2"));
    assert!(log.record(Seq(3)).unwrap().is_none());
    let headers: Vec<Bytes> = log.records(Seq(1)).map(|record| record.unwrap().1.header).collect();
    assert_eq!(headers, [b"header 1".as_slice(), b"header 2"]);
    assert_eq!(log.seal_of(Seq(0)).unwrap(), Some((TreeSize(1), Bytes::from_static(b"seal of 1"))));
    assert_eq!(log.seal_of(Seq(1)).unwrap(), Some((TreeSize(3), Bytes::from_static(b"seal of 3"))));
    assert_eq!(log.seal_of(Seq(3)).unwrap(), None);
    assert_eq!(log.last_seal().unwrap(), log.seal_of(Seq(2)).unwrap());
    assert_eq!(log.seals(TreeSize(2)).count(), 1);

    std::fs::write(&path, &written()[..60]).unwrap();
    assert!(matches!(ExportLog::open(&path), Err(SourceError::Container(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), keep in 0usize..80) {
        let whole = written();
        let mut damaged = whole[..keep.min(whole.len())].to_vec();
        damaged.extend(bytes);
        for _ in ExportReader::new(Cursor::new(&damaged)) {}
    }
}
