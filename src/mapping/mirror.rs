//! The parts of `[target]` that say which of a file's rows are written and which of the table's rows go: `newer`, and
//! what belongs to mode mirror.

use super::{
    check::Checked,
    compile::Columns,
    document::Step,
    expect,
    findings::Findings,
    limits,
    names::{self, Named},
    plan::{DeleteLimit, EmptyFile},
    written::{TargetWritten, Texts, VanishedWritten, Written},
};
use crate::{
    model::value::ValueType,
    targets::{Commit, Mode, WriteWhen},
};

/// Checks them, and gives the limit on rows that vanish.
pub fn check(
    written: &Written,
    columns: &Columns<'_>,
    checked: &Checked,
    findings: &mut Findings<'_>,
) -> DeleteLimit {
    let Some(target) = &written.target else { return DeleteLimit::default() };
    let mut check = Check { target, columns, checked, findings };
    check.newer();
    if target.mode == Mode::Mirror {
        check.vanished();
        check.scope();
        check.whole();
        if written.empty_file == EmptyFile::Load {
            let help = "leave it out: such a file says that every row has vanished";
            check.findings.value(
                &["empty_file".into()],
                "an empty file is never loaded in mode `mirror`",
                Some(help),
            );
        }
    } else if checked.is_sound(&["target", "mode"]) {
        check.only_in_mirror();
    }
    check.limit()
}

struct Check<'a, 'd, 'f> {
    target: &'a TargetWritten,
    columns: &'a Columns<'a>,
    checked: &'a Checked,
    findings: &'f mut Findings<'d>,
}

impl Check<'_, '_, '_> {
    fn newer(&mut self) {
        let Some(name) = &self.target.newer else { return };
        let path = ["target".into(), "newer".into()];
        if self.target.mode == Mode::Insert {
            let help = "leave `newer` out, or choose another mode";
            self.findings.value(&path, "in mode `insert` no stored row is ever replaced", Some(help));
        }
        if !self.is_known(name, &path) {
            return;
        }
        if self.is_in_key(name) {
            let help = "name a column that grows with each change of a row";
            self.findings.value(&path, &format!("`{name}` is part of the key"), Some(help));
        }
        let Some(Some(column)) = self.columns.get(name.as_str()) else { return };
        let ordered = matches!(
            column.column.value_type,
            ValueType::Integer
                | ValueType::Decimal { .. }
                | ValueType::Float
                | ValueType::Date
                | ValueType::Timestamp
        );
        if !ordered {
            let message = format!(
                "`{name}` is of type {}: only numbers, dates and timestamps say which row is newer",
                column.column.value_type
            );
            self.findings.value(&path, &message, Some("give the column such a type, or name another one"));
        } else if column.target.write == WriteWhen::Insert {
            let message =
                format!("`{name}` is written once only (`write = \"insert\"`), so that it never grows");
            self.findings.value(&path, &message, Some("take `write` out of its line, or name another one"));
        }
    }

    fn vanished(&mut self) {
        let Some(vanished) = &self.target.vanished else {
            if self.checked.is_present(&["target", "vanished"]) {
                let help = "add `vanished = \"delete\"`, or `vanished = { mark = \"deleted_at\" }`";
                let message = "mode `mirror` has to say what becomes of rows that the file does not have";
                self.findings.value(&["target".into(), "mode".into()], message, Some(help));
            }
            return;
        };
        let VanishedWritten::Mark(mark) = vanished else { return };
        let Some(name) = &mark.mark else { return };
        let path = ["target".into(), "vanished".into(), "mark".into()];
        if let Err((message, help)) = names::check(Named::Column, name) {
            self.findings.value(&path, &message, help);
        } else if self.columns.keys().any(|column| column.eq_ignore_ascii_case(name)) {
            let message = format!("`{name}` is a column of the mapping, but the mark is Wharf's to write");
            self.findings.value(&path, &message, Some("take it out of `[columns]`, or name another column"));
        }
    }

    fn scope(&mut self) {
        let Some(scope) = &self.target.scope else { return };
        let names = scope.as_slice();
        for (index, name) in names.iter().enumerate() {
            let path: &[Step<'_>] = match scope {
                Texts::One(_) => &["target".into(), "scope".into()],
                Texts::Many(_) => &["target".into(), "scope".into(), index.into()],
            };
            if names.iter().take(index).any(|earlier| earlier == name) {
                self.findings.value(path, &format!("`{name}` stands in the scope already"), None);
            } else {
                self.is_known(name, path);
            }
        }
        let key = self.target.key.as_ref().map_or(&[][..], Texts::as_slice);
        if !key.is_empty() && key.iter().all(|column| names.contains(column)) {
            let help = "name the part of the key that says which file a row belongs to, such as the store";
            self.findings.key(
                &["target".into(), "scope".into()],
                "the scope holds the whole key, so that no row could ever vanish",
                Some(help),
            );
        }
    }

    fn whole(&mut self) {
        if self.target.commit == Commit::Batch {
            let help = "leave `commit` out: a mirror is one transaction, as it has to know the whole file before a row goes";
            self.findings.value(
                &["target".into(), "commit".into()],
                "in mode `mirror` no part of a file is loaded alone",
                Some(help),
            );
        }
    }

    fn only_in_mirror(&mut self) {
        let target = self.target;
        let written = [
            ("vanished", target.vanished.is_some()),
            ("scope", target.scope.is_some()),
            ("max_deletes", target.max_deletes.is_some()),
        ];
        for (key, _) in written.into_iter().filter(|(_, is_written)| *is_written) {
            let help = "leave it out, or set `mode = \"mirror\"` if each file is the whole truth";
            self.findings.key(
                &["target".into(), key.into()],
                "this counts in mode `mirror` only: no other mode deletes anything",
                Some(help),
            );
        }
    }

    fn limit(&mut self) -> DeleteLimit {
        let Some(written) = &self.target.max_deletes else { return DeleteLimit::default() };
        match limits::share(written) {
            Ok(most) => DeleteLimit { most, always: 0 },
            Err(message) => {
                let help = "write a number of rows, or a share of those in the table such as \"5%\"";
                self.findings.value(&["target".into(), "max_deletes".into()], message, Some(help));
                DeleteLimit::default()
            }
        }
    }

    /// True when there is such a column; else says so, unless it may be missing because of another mistake.
    fn is_known(&mut self, name: &str, path: &[Step<'_>]) -> bool {
        let known = self.columns.contains_key(name);
        if !known && self.checked.is_present(&["columns"]) {
            let names: Vec<&str> = self.columns.keys().copied().collect();
            let message = format!("there is no column `{name}` under `[columns]`");
            self.findings.value(path, &message, expect::key_suggestion_for(name, &names).as_deref());
        }
        known
    }

    fn is_in_key(&self, name: &str) -> bool {
        self.target.key.as_ref().is_some_and(|key| key.as_slice().iter().any(|column| column == name))
    }
}
