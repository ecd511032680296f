//! Puts the evidence of several samples together: columns by their names, types, the key, what trailers state.

use std::sync::Arc;

use super::{
    InferError,
    column::Look,
    joined::{Joined, broken, by_content, join, shown_words},
    keys::{self, Candidate, KeyCount},
    naming::{Namer, folded, patterns},
    numbers::may_be_broken,
    sniff::Sniffed,
    survey::Evidence,
    toml_text::{list, quoted},
    trailer::{self, Statement, Summed},
    types::{self, ENOUGH, Habits},
    write,
};
use crate::model::printable::{self, thousands};

/// A sample that was looked at.
#[derive(Debug)]
pub struct Sample {
    /// Its file name.
    pub name: String,
    /// Its layout.
    pub sniffed: Sniffed,
    /// What its records say.
    pub evidence: Evidence,
}

/// Makes the draft.
#[derive(Debug)]
pub struct Drafter {
    name: String,
    samples: Vec<Sample>,
    columns: Vec<Joined>,
    records: u64,
    /// Columns of the file that the draft leaves out, and why.
    left_out: Vec<String>,
    sets: Vec<Vec<usize>>,
    counts: Vec<KeyCount>,
    checked: Option<(u64, u64)>,
}

/// A column of a draft.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DraftColumn {
    /// Its name in the table.
    pub name: String,
    /// Where its text comes from: a name, or a number from 1, as TOML writes it; none when both are called the same.
    pub from: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Every record has a value.
    pub required: bool,
    /// Further keys with their values in TOML.
    pub keys: Vec<(&'static str, String)>,
    /// What speaks for all this.
    pub evidence: Vec<String>,
    /// What a person has to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
}

/// A drafted mapping.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The mapping's name.
    pub name: String,
    /// The patterns of file names.
    pub matches: Vec<String>,
    /// The layout of the files.
    pub sniffed: Sniffed,
    /// What the trailer states.
    pub statement: Vec<(String, String, Option<String>)>,
    /// The key.
    pub key: Vec<String>,
    /// What speaks for the key, or against it.
    pub key_comment: String,
    /// A later record with the same key wins.
    pub last_wins: bool,
    /// The columns.
    pub columns: Vec<DraftColumn>,
    /// What has to be said about the samples as a whole.
    pub notes: Vec<String>,
    /// Records of all samples.
    pub records: u64,
    /// The mapping.
    pub text: String,
}

impl Drafter {
    /// Joins the evidence of `samples`, of which there is at least one, for a mapping of this name.
    ///
    /// # Errors
    /// When there is no column to draft.
    pub fn new(name: &str, samples: Vec<Sample>, look: &Arc<Look>) -> Result<Self, InferError> {
        let records = samples.iter().map(|sample| sample.evidence.records).sum();
        let (mut columns, left_out) = join(&samples, look);
        if columns.is_empty() {
            return Err(InferError::Unclear("no column has a name or values".to_owned()));
        }
        let habits = Habits::of(columns.iter().map(|joined| &joined.column), &look.forms);
        let mut namer = Namer::default();
        for joined in &mut columns {
            let hint = joined.title.as_deref().map(super::naming::snake).unwrap_or_default();
            joined.typed = types::decide(&joined.column, &hint, &look.forms, habits);
            joined.name = match &joined.title {
                Some(title) => namer.name(title, joined.number),
                None => namer.name(&by_content(&joined.typed), joined.number),
            };
        }
        let mut drafter = Self {
            name: name.to_owned(),
            samples,
            columns,
            records,
            left_out,
            sets: Vec::new(),
            counts: Vec::new(),
            checked: None,
        };
        if records > 1 && keys::single(&drafter.candidates()).is_none() {
            drafter.sets = drafter.key_candidates();
        }
        Ok(drafter)
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        let columns = self.columns.iter().enumerate();
        columns
            .map(|(place, joined)| Candidate {
                place,
                name: &joined.name,
                type_name: &joined.typed.name,
                column: &joined.column,
                complete: self.is_complete(joined),
            })
            .collect()
    }

    fn is_complete(&self, joined: &Joined) -> bool {
        let column = &joined.column;
        let nulls: u64 = column
            .nulls
            .iter()
            .filter(|(null, _)| joined.typed.nulls.contains(null))
            .map(|(_, count)| count)
            .sum();
        let zeros: u64 = column.moments.zeros.iter().map(|(_, count)| count).sum();
        let is_moment = matches!(joined.typed.name.as_str(), "date" | "timestamp" | "time");
        let missing = column.empty + nulls + if is_moment { zeros } else { 0 };
        missing == 0 && joined.places.iter().all(Option::is_some)
    }

    fn key_candidates(&self) -> Vec<Vec<usize>> {
        let Some(first) = self.samples.first() else { return Vec::new() };
        let place = |place: usize| self.columns.get(place).and_then(|joined| *joined.places.first()?);
        keys::sets(&self.candidates(), &first.evidence.table, place)
    }

    /// Sets of columns that have to be counted over all records of each sample before there is a key: for each the
    /// columns of the file, from 0. None when no counting is needed.
    #[must_use]
    pub fn key_sets(&self, sample: usize) -> Vec<Vec<usize>> {
        let place =
            |column: &usize| self.columns.get(*column).and_then(|joined| *joined.places.get(sample)?);
        self.sets.iter().map(|set| set.iter().filter_map(place).collect()).collect()
    }

    /// Takes the counts of the sets of [`Drafter::key_sets`] in one sample.
    pub fn take_key_counts(&mut self, counts: Vec<KeyCount>) {
        if self.counts.is_empty() {
            self.counts = counts;
            return;
        }
        for (all, more) in self.counts.iter_mut().zip(counts) {
            all.records += more.records;
            all.repeated += more.repeated;
        }
    }

    /// Takes back what was concluded about a column, as records of the sample contradict it: it becomes plain text. False
    /// when it is that already.
    pub fn contradict(&mut self, column: &str, times: u64) -> bool {
        let Some(joined) = self.columns.iter_mut().find(|joined| joined.name == column) else { return false };
        let is_plain = joined.typed.name == "text" && joined.typed.keys.is_empty();
        if is_plain || times <= joined.typed.broken {
            return false;
        }
        let before = std::mem::replace(&mut joined.typed, types::plain_text(&joined.column));
        let message = format!("looks like {}, but {} of the sample are not", before.name, thousands(times));
        joined.typed.evidence.push(message);
        true
    }

    /// Takes back that the samples end with a trailer. False when none was found anyway.
    pub fn forget_trailer(&mut self) -> bool {
        let trailers = self.samples.iter_mut().map(|sample| sample.sniffed.trailer.take());
        trailers.flatten().count() > 0
    }

    /// Notes that a sample as a whole is refused under the draft.
    pub fn note_refusal(&mut self, message: &str) {
        self.left_out.push(format!("CHECK: a sample is refused under this mapping: {message}"));
    }

    /// Notes that so many records were read under the draft, and so many of them rejected.
    pub fn note_checked(&mut self, read: u64, rejected: u64) {
        self.checked = Some((read, rejected));
    }

    /// The draft as it stands.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let (key, key_comment, last_wins) = self.key();
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, joined)| self.column(joined, key.contains(&at)))
            .collect();
        let names: Vec<String> = self.samples.iter().map(|sample| sample.name.clone()).collect();
        let named = |set: &[usize]| {
            set.iter().filter_map(|at| self.columns.get(*at)).map(|joined| joined.name.clone()).collect()
        };
        let mut draft = Draft {
            name: self.name.clone(),
            matches: patterns(&names),
            sniffed: self.layout(),
            statement: Vec::new(),
            key: named(&key),
            key_comment,
            last_wins,
            columns,
            notes: self.notes(),
            records: self.records,
            text: String::new(),
        };
        draft.statement = self.statement(&draft.sniffed);
        draft.text = write::mapping(&draft, &names, self.checked);
        draft
    }

    fn layout(&self) -> Sniffed {
        // A sample that is not UTF-8 says more about the feed than one that happens to be ASCII.
        let mut samples = self.samples.iter().map(|sample| &sample.sniffed);
        let other = samples.clone().find(|sniffed| sniffed.encoding != encoding_rs::UTF_8);
        let Some(layout) = other.or_else(|| samples.next()) else {
            // There is at least one sample.
            return Sniffed {
                encoding: encoding_rs::UTF_8,
                encoding_guessed: false,
                has_mark: false,
                delimiter: ",".to_owned(),
                quote: Some(b'"'),
                escape: None,
                comment: None,
                skip_rows: 0,
                header: None,
                by_number: None,
                width: 1,
                trailing_delimiter: false,
                trailer: None,
            };
        };
        layout.clone()
    }

    /// The columns of the key, what to say about them, and whether a later record with the same key wins.
    fn key(&self) -> (Vec<usize>, String, bool) {
        let records = thousands(self.records);
        let candidates = self.candidates();
        if let Some(place) = keys::single(&candidates) {
            let comment = match self.records {
                0 => "CHECK: no record shows whether this tells records apart".to_owned(),
                1..ENOUGH => format!("CHECK: unique in {records} records, which are too few to be sure"),
                _ => match self.watched(place) {
                    Some(watched) => {
                        format!("unique in at least the first {} of {records} records", thousands(watched))
                    }
                    None => format!("unique in {records} records"),
                },
            };
            return (vec![place], comment, false);
        }
        if let Some((set, comment)) = self.nearly_unique() {
            return (set, comment, false);
        }
        let best = self
            .sets
            .iter()
            .zip(&self.counts)
            .filter(|(_, count)| count.repeated == 0)
            .map(|(set, _)| set)
            .next();
        if let Some(set) = best {
            let comment = match set.len() {
                1 => format!("unique in {records} records"),
                n => {
                    format!("CHECK: no column alone is unique; these {n} together are, in {records} records")
                }
            };
            return (set.clone(), comment, false);
        }
        let least = self.sets.iter().zip(&self.counts).min_by_key(|(set, count)| (count.repeated, set.len()));
        if let Some((set, count)) = least {
            let comment = format!(
                "CHECK: nothing tells all records apart: {} of {records} repeat an earlier key, and of those only the last is kept; \
                 ask the sender for a number of the record",
                thousands(count.repeated)
            );
            return (set.clone(), comment, true);
        }
        let fullest = candidates.iter().max_by_key(|c| (c.column.values(), std::cmp::Reverse(c.place)));
        let comment = "CHECK: no column has a value in every record; choose what tells records apart, or ask the sender for a number \
                       of the record"
            .to_owned();
        (fullest.map(|c| c.place).into_iter().collect(), comment, true)
    }

    /// A column that is evidently meant to be the key, although some records repeat it.
    fn nearly_unique(&self) -> Option<(Vec<usize>, String)> {
        let (set, count) = self.sets.iter().zip(&self.counts).find(|(set, _)| set.len() == 1)?;
        let is_few = count.repeated > 0 && count.repeated <= may_be_broken(count.records);
        let comment = format!(
            "CHECK: {} of {} records have the key of an earlier one and will be rejected",
            thousands(count.repeated),
            thousands(self.records)
        );
        is_few.then(|| (set.clone(), comment))
    }

    fn watched(&self, place: usize) -> Option<u64> {
        let joined = self.columns.get(place)?;
        let samples = self.samples.iter().zip(&joined.places);
        samples.filter_map(|(sample, at)| sample.evidence.watched.get((*at)?).copied()?).next()
    }

    fn column(&self, joined: &Joined, is_key: bool) -> DraftColumn {
        let (column, typed) = (&joined.column, &joined.typed);
        let complete = self.is_complete(joined);
        let records = thousands(self.records);
        let unwatched = self.samples.iter().zip(&joined.places).any(|(sample, at)| {
            at.and_then(|at| sample.evidence.watched.get(at).copied()).flatten().is_some()
        });
        let unique = !column.repeats && self.records > 1 && column.values() > 1;
        let required = is_key || complete && self.records >= ENOUGH;
        let mut keys = typed.keys.clone();
        match typed.nulls.as_slice() {
            [] => {}
            [one] => keys.push(("null", quoted(one))),
            several => keys.push(("null", list(several))),
        }
        if is_key && !complete && typed.name == "text" {
            // Otherwise every record without a value would be rejected.
            keys.push(("empty", quoted("text")));
        }
        let mut evidence = Vec::new();
        let tells_apart = matches!(typed.name.as_str(), "text" | "integer" | "uuid");
        match (complete, unique && tells_apart) {
            (true, true) if unwatched => evidence.push("no value twice as far as was counted".to_owned()),
            (true, true) => evidence.push(format!("unique in {records} records")),
            (true, false) if required => evidence.push(format!("no empty in {records} records")),
            (false, _) if column.empty > 0 && column.values() > 0 => {
                evidence.push(format!(
                    "{} of {} empty",
                    thousands(column.empty),
                    thousands(column.records())
                ));
                evidence.extend((unique && tells_apart).then(|| "no value twice".to_owned()));
            }
            _ => {}
        }
        let zeros =
            column.moments.zeros.iter().filter(|_| matches!(typed.name.as_str(), "date" | "timestamp"));
        for (null, count) in column.nulls.iter().chain(zeros).filter(|(null, _)| typed.nulls.contains(null)) {
            evidence.push(format!(
                "{} of {} are {}",
                thousands(*count),
                thousands(column.records()),
                printable::short(null, 20)
            ));
        }
        let absent = joined.places.iter().filter(|place| place.is_none()).count();
        if absent > 0 {
            evidence.push(format!(
                "only in {} of {} samples",
                joined.places.len() - absent,
                joined.places.len()
            ));
        }
        evidence.extend(shown_words(joined));
        evidence.extend(typed.evidence.iter().cloned());
        DraftColumn {
            name: joined.name.clone(),
            from: self.from(joined),
            type_name: typed.name.clone(),
            required,
            keys,
            evidence,
            check: typed.ask.clone(),
        }
    }

    fn from(&self, joined: &Joined) -> Option<String> {
        let by_name = self.samples.first().is_some_and(|sample| sample.sniffed.names_columns());
        match &joined.title {
            Some(title) if by_name => (folded(title) != joined.name).then(|| quoted(title)),
            _ => Some(joined.number.to_string()),
        }
    }

    /// `trailer` and `controls` as (key, value, comment).
    fn statement(&self, layout: &Sniffed) -> Vec<(String, String, Option<String>)> {
        let Some(starts_with) = &layout.trailer else { return Vec::new() };
        let summed: Vec<Summed<'_>> =
            self.columns.iter().enumerate().filter_map(|(at, joined)| self.summed(at, joined)).collect();
        let evidence: Vec<&Evidence> = self.samples.iter().map(|sample| &sample.evidence).collect();
        let Statement { count, sums } = trailer::read(&evidence, &summed);
        let mut value = format!("{{ starts_with = {}", quoted(starts_with));
        let mut comment =
            "CHECK: nothing in the last record counts the others; a file without it is refused".to_owned();
        if let Some((field, offset)) = count {
            value.push_str(&format!(", count = {field}"));
            comment = format!("field {field} of the last record is the number of records");
            if offset != 0 {
                value.push_str(&format!(", offset = {offset}"));
                comment.push_str(&format!(" and {offset}"));
            }
        }
        value.push_str(" }");
        let mut lines = vec![("trailer".to_owned(), value, Some(comment))];
        if !sums.is_empty() {
            let one = |(at, field): &(usize, usize)| {
                let name = self.columns.get(*at).map_or("", |joined| joined.name.as_str());
                format!("{{ column = {}, sum = {field} }}", quoted(name))
            };
            let all: Vec<String> = sums.iter().map(one).collect();
            let comment = "the last record states the sum".to_owned();
            lines.push(("controls".to_owned(), format!("[{}]", all.join(", ")), Some(comment)));
        }
        lines
    }

    fn summed<'a>(&'a self, place: usize, joined: &'a Joined) -> Option<Summed<'a>> {
        let style = joined.typed.style.filter(|_| joined.typed.name != "float")?;
        let columns =
            self.samples.iter().zip(&joined.places).map(|(sample, at)| sample.evidence.columns.get((*at)?));
        Some(Summed { place, style, columns: columns.collect::<Option<_>>()? })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for sample in &self.samples {
            let shown = printable::short(&sample.name, 60);
            let broken = broken(&sample.evidence.faults, sample.evidence.records);
            notes.extend(broken.map(|text| format!("CHECK: {shown}: {text}")));
            if sample.evidence.records == 0 {
                notes.push(format!(
                    "CHECK: {shown} holds no records: types, rules and key are guesses from the names alone"
                ));
            }
        }
        let layout = self.layout();
        if let Some(reason) = &layout.by_number {
            notes.push(format!("CHECK: columns are taken by their number, as {}", printable::text(reason)));
        }
        if layout.width == 1 && layout.header.is_some() && self.records > 0 {
            notes.push("CHECK: no delimiter was found: each line is one value".to_owned());
        }
        notes.extend(self.left_out.iter().cloned());
        notes
    }
}
