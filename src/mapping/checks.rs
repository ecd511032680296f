//! `[filter]` and `[checks]`: what is said of whole records.

use super::{
    computed::Names,
    document::Step,
    findings::Findings,
    names::{self, Named},
    plan::{Check, Filter},
    written::Written,
};
use crate::model::{Rule, printable};

/// So much of an expression stands in the sentence that is made from it.
const SHOWN_CHARACTERS: usize = 200;
/// More checks than this nobody reads; each costs a pass over the records.
const MAX_CHECKS: usize = 500;

/// What `[filter]` comes to.
pub fn filter(written: &Written, names: &Names, findings: &mut Findings<'_>) -> Option<Filter> {
    let path: [Step<'_>; 2] = ["filter".into(), "keep".into()];
    let read = names.condition(&path, written.filter.keep.as_deref()?, findings)?;
    Some(Filter { expression: read.expression, is_sensitive: read.is_sensitive })
}

/// What `[checks]` comes to, in its order.
pub fn checks(written: &Written, names: &Names, findings: &mut Findings<'_>) -> Vec<Check> {
    let mut checks = Vec::with_capacity(written.checks.len());
    if written.checks.len() > MAX_CHECKS {
        findings.key(&["checks".into()], &format!("there are more than {MAX_CHECKS} checks"), None);
        return checks;
    }
    for (name, check) in &written.checks {
        let path = ["checks".into(), name.as_str().into()];
        if let Err((message, help)) = names::check(Named::Check, name) {
            findings.key(&path, &message, help);
        }
        if check.message.as_ref().is_some_and(|message| message.trim().is_empty()) {
            let help = "say what is wrong with such a record, or leave it out";
            findings.value(&[path[0], path[1], "message".into()], "the message is empty", Some(help));
        }
        let Some(text) = &check.check else { continue };
        let path = [path[0], path[1], "check".into()];
        let Some(read) = names.condition(&path, text, findings) else { continue };
        let message =
            check.message.as_ref().map_or_else(|| sentence(text), |message| printable::text(message.trim()));
        checks.push(Check {
            rule: Rule::check(name),
            expression: read.expression,
            message: message.into(),
            is_sensitive: read.is_sensitive,
        });
    }
    checks
}

/// What is said when the mapping says nothing.
fn sentence(expression: &str) -> String {
    let words: Vec<&str> = expression.split_whitespace().collect();
    format!("this must hold: {}", printable::short(&words.join(" "), SHOWN_CHARACTERS))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_check_without_a_message_says_what_must_hold() {
        assert_eq!(sentence("  due_date\n  >= order_date "), "this must hold: due_date >= order_date");
        assert!(sentence(&"x + ".repeat(1000)).chars().count() < 250);
    }
}
