//! Collects what makes no sense in a file whose structure is sound, each finding with the place it is about.

use std::ops::Range;

use super::{
    document::{Document, Step},
    problem::Problem,
};

/// The findings in one file.
#[derive(Debug)]
pub struct Findings<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    /// None yet.
    pub fn new(document: &'a Document) -> Self {
        Self { document, problems: Vec::new() }
    }

    /// The file.
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// All of them.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A finding about the value at `path`; about the key that leads there when it is not written.
    pub fn value(&mut self, path: &[Step<'_>], message: &str, help: Option<&str>) {
        self.at(self.document.value_span(path), message, help);
    }

    /// A finding about the key at the end of `path`.
    pub fn key(&mut self, path: &[Step<'_>], message: &str, help: Option<&str>) {
        self.at(self.document.key_span(path), message, help);
    }

    /// A finding about some bytes of the text at `path`.
    pub fn part(&mut self, path: &[Step<'_>], part: Range<usize>, message: &str, help: Option<&str>) {
        self.at(self.document.part_span(path, part), message, help);
    }

    fn at(&mut self, span: Range<usize>, message: &str, help: Option<&str>) {
        let place = self.document.place(span);
        self.problems.push(Problem::at(&self.document.file, place, message, help));
    }
}
