//! Names: columns, and what is known of the file and the delivery.

use std::ops::Range;

use sqlparser::ast::{Expr, Ident};

use super::{Checker, Typed, shown};
use crate::mapping::{
    expression::{
        facts::{DELIVERY, FILE, Fact},
        node::Node,
        types::Type,
    },
    nearest::nearest,
};

impl Checker<'_> {
    /// A column, `record`, `file.NAME` or `delivery.NAME`.
    pub(super) fn name(&mut self, syntax: &Expr, place: Range<usize>) -> Option<Typed> {
        match syntax {
            Expr::Identifier(name) => self.column(name, place),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [of, name] if is_word(of, "file") => self.file(name, place),
                [of, name] if is_word(of, "delivery") => self.delivery(name, place),
                [of, ..] => {
                    let message = format!("there is nothing called `{}` that has parts", shown(&of.value));
                    let help = "there are `file.name` and its kin, and `delivery.id`; a column stands alone";
                    self.problem(place, message, Some(help))
                }
                [] => self.problem(place, "a name is missing", None),
            },
            _ => None,
        }
    }

    fn column(&mut self, name: &Ident, place: Range<usize>) -> Option<Typed> {
        let columns = &self.scope.columns;
        let exact = columns.iter().position(|column| column.name == name.value);
        let caseless = || {
            let mut found = (0..).zip(columns).filter(|(_, c)| c.name.eq_ignore_ascii_case(&name.value));
            let first = found.next().map(|(index, _)| index);
            first.filter(|_| name.quote_style.is_none() && found.next().is_none())
        };
        let found = exact.or_else(caseless).and_then(|index| Some((index, columns.get(index)?)));
        if let Some((index, column)) = found {
            let node = Node::Column(index, column.value_type);
            return Some(Typed { node, of: Type::Value(column.value_type), place, is_literal: false });
        }
        if is_word(name, "record") {
            return Some(Typed { node: Node::Record, of: Type::INTEGER, place, is_literal: false });
        }
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("current_timestamp") {
            return Some(self.fact(Fact::Now, place));
        }
        let names = columns.iter().map(|column| column.name.as_str());
        let help = match nearest(&name.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None if name.quote_style.is_some() => {
                "double quotes stand around names; texts stand in single quotes: 'paid'".into()
            }
            None => "names are those of the mapping's columns; texts stand in single quotes: 'paid'".into(),
        };
        self.problem(place, format!("there is no column `{}`", shown(&name.value)), Some(&help))
    }

    fn file(&mut self, name: &Ident, place: Range<usize>) -> Option<Typed> {
        let wanted = name.value.to_ascii_lowercase();
        if let Some(capture) = self.scope.captures.iter().find(|capture| capture.name == wanted) {
            let fact = Fact::Capture(capture.name.as_str().into(), capture.value_type);
            return Some(self.fact(fact, place));
        }
        if let Some((_, fact, _)) = FILE.iter().find(|(known, _, _)| *known == wanted) {
            return Some(self.fact(fact.clone(), place));
        }
        let captures = self.scope.captures.iter().map(|capture| capture.name.as_str());
        let known: Vec<&str> = FILE.iter().map(|(known, _, _)| *known).chain(captures).collect();
        self.no_part("file", &wanted, &known, place)
    }

    fn delivery(&mut self, name: &Ident, place: Range<usize>) -> Option<Typed> {
        let wanted = name.value.to_ascii_lowercase();
        if let Some((_, fact, _)) = DELIVERY.iter().find(|(known, _, _)| *known == wanted) {
            return Some(self.fact(fact.clone(), place));
        }
        let known: Vec<&str> = DELIVERY.iter().map(|(known, _, _)| *known).collect();
        self.no_part("delivery", &wanted, &known, place)
    }

    fn no_part(&mut self, of: &str, name: &str, known: &[&str], place: Range<usize>) -> Option<Typed> {
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{of}.{near}`?"),
            None => {
                let names: Vec<String> = known.iter().map(|name| format!("`{of}.{name}`")).collect();
                format!("there are {}", names.join(", "))
            }
        };
        self.problem(place, format!("there is no `{of}.{}`", shown(name)), Some(&help))
    }

    pub(super) fn fact(&self, fact: Fact, place: Range<usize>) -> Typed {
        Typed { of: fact.value_type(), node: Node::Fact(fact), place, is_literal: false }
    }
}

/// True for this word, written without quotes.
fn is_word(name: &Ident, word: &str) -> bool {
    name.quote_style.is_none() && name.value.eq_ignore_ascii_case(word)
}
