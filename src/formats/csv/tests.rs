//! The three halves together: framing, splitting and scanning must agree on every input.

use proptest::prelude::*;

use super::{
    frame::CsvFramer,
    scan::{self, Dialect},
    split::CsvSplitter,
    window::Window,
};
use crate::formats::{Chunk, Framer, Records, Splitter};

fn dialect(delimiter: &str) -> Dialect {
    Dialect {
        delimiter: delimiter.as_bytes().into(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        max_record_bytes: 64,
        max_record_lines: 3,
    }
}

fn window(bytes: &[u8]) -> Window {
    Window::open(Box::new(std::io::Cursor::new(bytes.to_vec())), encoding_rs::UTF_8).unwrap()
}

/// One record as a reader sees it: its byte in the file, its raw bytes, its line, and its fields or its fault.
type Seen = (u64, Vec<u8>, u64, Result<Vec<String>, String>);

fn split_all(chunks: Vec<Chunk>, splitter: &CsvSplitter) -> Vec<Seen> {
    let (mut seen, mut records, mut lines) = (Vec::new(), Records::default(), 0);
    for chunk in chunks {
        splitter.split(&chunk, &mut records);
        for (index, place) in records.places.iter().enumerate() {
            let range = place.byte as usize..(place.byte + place.length) as usize;
            let fault = records.faults.iter().find(|(record, _)| *record as usize == index);
            let fields = match fault {
                Some((_, violation)) => Err(violation.rule.code().to_owned()),
                None => Ok((0..records.width).map(|column| records.text_of(&chunk, index, column)).collect()),
            };
            let (byte, line) = (chunk.byte + u64::from(place.byte), lines + u64::from(place.line));
            seen.push((byte, chunk.raw[range].to_vec(), line, fields));
        }
        lines += records.lines;
    }
    seen
}

fn chunks(bytes: &[u8], dialect: &Dialect, chunk_bytes: usize) -> Vec<Chunk> {
    let mut framer = CsvFramer::new(window(bytes), dialect.clone(), 3, chunk_bytes);
    let mut chunks = Vec::new();
    while let Some(chunk) = framer.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    chunks
}

fn splitter(dialect: &Dialect, width: usize) -> CsvSplitter {
    CsvSplitter { dialect: dialect.clone(), width, trailing_delimiter: false, trailer_starts_with: None }
}

/// Text in which quotes, delimiters and line ends of every kind are likely.
fn text() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "a", "b1", ",", ",", "\"", "\"\"", "\n", "\r\n", "\r", "ü", "\",\"", "x y",
    ]);
    prop::collection::vec(parts, 0..80).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn chunks_of_any_size_hold_the_records_of_the_whole_file(text in text(), size in 1usize..40, width in 1usize..4) {
        let dialect = dialect(",");
        let whole = Chunk { raw: text.clone().into_bytes().into(), ..Chunk::default() };
        let expected = split_all(vec![whole], &splitter(&dialect, width));
        let found = split_all(chunks(text.as_bytes(), &dialect, size), &splitter(&dialect, width));
        prop_assert_eq!(expected, found);
    }

    #[test]
    fn the_quick_way_finds_what_the_careful_way_finds(text in text(), width in 1usize..4) {
        // A comment mark that never occurs sends the same text the careful way.
        let careful = Dialect { comment: Some(b'#'), ..dialect(",") };
        let chunk = |text: &str| vec![Chunk { raw: text.as_bytes().to_vec().into(), ..Chunk::default() }];
        let quick = split_all(chunk(&text), &splitter(&dialect(","), width));
        prop_assert_eq!(quick, split_all(chunk(&text), &splitter(&careful, width)));
    }

    #[test]
    fn a_strict_file_reads_as_the_csv_crate_reads_it(
        rows in prop::collection::vec(prop::collection::vec("[a-zäß,;\"\r\n ]{0,6}", 3), 1..12),
        all_quoted: bool, crlf: bool,
    ) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .quote_style(if all_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let dialect = Dialect { max_record_lines: 100, max_record_bytes: 1000, ..dialect(",") };
        let found = split_all(chunks(&bytes, &dialect, 16), &splitter(&dialect, 3));
        let fields: Vec<_> = found.into_iter().map(|(_, _, _, fields)| fields.unwrap()).collect();
        prop_assert_eq!(fields, rows);
    }

    #[test]
    fn every_byte_of_a_file_belongs_to_one_chunk(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
        let marked = crate::formats::text::byte_order_mark(&bytes).is_some();
        prop_assume!(!marked);
        let all: Vec<u8> = chunks(&bytes, &dialect(","), size).into_iter()
            .filter(|chunk| chunk.oversized.is_none()).flat_map(|chunk| chunk.raw.into_vec()).collect();
        let large = chunks(&bytes, &dialect(","), size).iter().any(|chunk| chunk.oversized.is_some());
        prop_assert!(large || all == bytes);
    }
}

#[test]
fn lines_and_bytes_are_those_of_the_file() {
    let text = "a,b\r\n\"x\ny\",c\n\nd,e";
    let seen = split_all(chunks(text.as_bytes(), &dialect(","), 1), &splitter(&dialect(","), 2));
    let places: Vec<_> = seen.iter().map(|(byte, raw, line, _)| (*byte, raw.as_slice(), *line)).collect();
    assert_eq!(places, [(0, &b"a,b"[..], 0), (5, b"\"x\ny\",c", 1), (14, b"d,e", 4)]);
}

#[test]
fn a_record_larger_than_allowed_costs_itself_only() {
    let dialect = Dialect { max_record_bytes: 50, ..dialect(",") };
    for large in [
        format!("{},x", "a".repeat(500_000)),
        format!("\"{}\n\",y", "b".repeat(500_000)),
        format!("{}1", "\"c,\nc\",".repeat(100_000)),
    ] {
        let text = format!("1,2\n{large}\n3,4\n");
        let seen = split_all(chunks(text.as_bytes(), &dialect, 100), &splitter(&dialect, 2));
        assert_eq!(seen.first().unwrap().3, Ok(vec!["1".into(), "2".into()]));
        assert_eq!(seen.last().unwrap().3, Ok(vec!["3".into(), "4".into()]));
        assert!(seen[1..seen.len() - 1].iter().all(|record| record.3.is_err()));
        assert_eq!(seen.last().unwrap().2 as usize, scan::count_lines(format!("1,2\n{large}\n").as_bytes()));
        assert_eq!(seen.last().unwrap().0 as usize, text.len() - 4);
    }
}
