//! Changes to an input: of bytes, of tokens, of lines, and of two inputs together. Blind to YAML, but made for texts of
//! lines, so that most of what comes out is nearly a document.

use super::INPUT_BYTES_MAX;
use super::archive::header;
use crate::wishes::Dice;

/// What stands in the place of a token: the edges of every type, what YAML reads in its own way, what terminals obey.
const WORDS: [&str; 72] = [
    "0",
    "1",
    "-1",
    "01",
    "0x10",
    "0o7",
    "1e3",
    "1.0",
    "1.33",
    "1_000",
    "255",
    "256",
    "1000",
    "1001",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "-9223372036854775809",
    ".inf",
    ".nan",
    "1e999",
    "true",
    "no",
    "NO",
    "on",
    "~",
    "null",
    "\"\"",
    "''",
    "{}",
    "[]",
    "[[]]",
    "{a: b}",
    "<<: *a",
    "&a",
    "*a",
    "!!str",
    "!x",
    "|",
    ">-",
    "? a",
    "---",
    "...",
    "%YAML 1.1",
    "#",
    "# ",
    ": ",
    "- ",
    "\t",
    "\r",
    "\u{0}",
    "\u{1b}[31m",
    "\u{85}",
    "\u{a0}",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "é",
    "日本",
    "\"\\u001b[2J\"",
    "\"\\u202e\"",
    "\"\\n\"",
    "\"\\0\"",
    "0s",
    "365d",
    "366d",
    "99999999999999999999s",
    "1970-01-01T00:00:00Z",
    "9999-12-30T22:00:00Z",
    "-009999-01-01T00:00:00Z",
];

/// A change of one input, which may take from another.
pub fn mutate(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut changed = input.to_vec();
    for _ in 0..dice.pick(&[1, 1, 1, 2, 2, 3, 5, 8]) {
        changed = match dice.between(0, 9) {
            0 => bytes(changed, dice),
            1..=3 => token(&changed, other, dice),
            4..=6 => lines(&changed, other, dice),
            7 => path(&changed, other, dice),
            8 => indent(&changed, dice),
            _ => splice(&changed, other, dice),
        };
    }
    changed.truncate(INPUT_BYTES_MAX);
    changed
}

fn below(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.between(0, bound.max(1) as u64 - 1)).unwrap()
}

fn bytes(mut input: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let at = below(dice, input.len());
    let to = (at + 1 + below(dice, 16)).min(input.len());
    match dice.between(0, 4) {
        _ if input.is_empty() => input.push(b'a'),
        0 => input[at] ^= 1 << dice.between(0, 7),
        1 => input[at] = dice.pick(&[0, 9, 10, 13, 34, 39, 58, 92, 127, 128, 0xEF, 255]),
        2 => drop(input.drain(at..to)),
        3 => input = [&input[..to], &input[at..to], &input[to..]].concat(),
        _ => input.truncate(at),
    }
    input
}

/// Runs of what names, numbers, times and addresses are made of.
fn tokens(input: &[u8]) -> Vec<(usize, usize)> {
    let of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:+".contains(&byte);
    let mut found = Vec::new();
    let mut begin = None;
    for (at, byte) in input.iter().chain(b" ").enumerate() {
        match (of_word(*byte), begin) {
            (true, None) => begin = Some(at),
            (false, Some(from)) => {
                // The colon of a key is no part of it.
                let to = if input[at - 1] == b':' && at - 1 > from { at - 1 } else { at };
                found.push((from, to));
                begin = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    found
}

fn token(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (mine, theirs) = (tokens(input), tokens(other));
    if mine.is_empty() || theirs.is_empty() {
        return input.to_vec();
    }
    let (from, to) = dice.pick(&mine);
    let word: Vec<u8> = match dice.between(0, 3) {
        0 => dice.pick(&WORDS).into(),
        1 => {
            let (from, to) = dice.pick(&theirs);
            other[from..to].to_vec()
        }
        2 => {
            let (from, to) = dice.pick(&mine);
            input[from..to].to_vec()
        }
        _ => [&input[from..to], dice.pick(&["0", "x", "-", ".", "/", "\u{1b}"]).as_bytes()].concat(),
    };
    [&input[..from], &word, &input[to..]].concat()
}

fn split(input: &[u8]) -> Vec<&[u8]> {
    input.split_inclusive(|byte| *byte == b'\n').collect()
}

fn lines(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (mut mine, theirs) = (split(input), split(other));
    if mine.is_empty() || theirs.is_empty() {
        return input.to_vec();
    }
    let (at, with) = (below(dice, mine.len()), below(dice, mine.len()));
    let to = (at + 1 + below(dice, 12)).min(mine.len());
    match dice.between(0, 6) {
        0 => drop(mine.remove(at)),
        1 => mine.insert(at, mine[with]),
        2 => mine.swap(at, with),
        3 => drop(mine.drain(at..to)),
        4 => {
            let block: Vec<&[u8]> = mine[at..to].to_vec();
            mine.splice(to..to, block);
        }
        5 => mine[at] = dice.pick(&theirs),
        _ => {
            let from = below(dice, theirs.len());
            let block = theirs[from..(from + 1 + below(dice, 12)).min(theirs.len())].to_vec();
            mine.splice(at..at, block);
        }
    }
    mine.concat()
}

/// Another name for a file, or one that is hidden.
fn path(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut mine: Vec<Vec<u8>> = split(input).into_iter().map(<[u8]>::to_vec).collect();
    let headers: Vec<usize> = (0..mine.len()).filter(|at| header(&mine[*at]).is_some()).collect();
    let theirs: Vec<String> = split(other).into_iter().filter_map(header).collect();
    if headers.is_empty() || theirs.is_empty() {
        return input.to_vec();
    }
    let at = dice.pick(&headers);
    let old = header(&mine[at]).unwrap_or_default();
    let new = match dice.between(0, 5) {
        0 => format!("!{old}"),
        1 => old.to_uppercase(),
        2 => old.replacen('/', "", 1),
        3 => format!("{}x{}", old.trim_end_matches(".yaml"), if old.ends_with(".yaml") { ".yaml" } else { "" }),
        _ => dice.pick(&theirs),
    };
    mine[at] = format!("-- {new} --\n").into_bytes();
    mine.concat()
}

fn indent(input: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mine = split(input);
    if mine.is_empty() {
        return Vec::new();
    }
    let at = below(dice, mine.len());
    let to = (at + 1 + below(dice, 6)).min(mine.len());
    let deeper = dice.percent(50);
    let moved = |(index, line): (usize, &&[u8])| match (at..to).contains(&index) {
        true if deeper => [b"  ", *line].concat(),
        true => line.strip_prefix(b"  ").unwrap_or(line).to_vec(),
        false => line.to_vec(),
    };
    mine.iter().enumerate().flat_map(moved).collect()
}

fn splice(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (mine, theirs) = (split(input), split(other));
    let head = &mine[..below(dice, mine.len() + 1)];
    let tail = &theirs[below(dice, theirs.len() + 1)..];
    [head.concat(), tail.concat()].concat()
}
