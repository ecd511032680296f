//! Calls of functions, in the plain form and in the forms with words between the arguments.

use std::ops::Range;

use jiff::tz::TimeZone;
use sqlparser::ast::{
    CeilFloorKind, DateTimeField, Expr, Function as FunctionSyntax, FunctionArg, FunctionArgExpr,
    FunctionArguments, TrimWhereField,
};

use super::{Checker, Typed, shown};
use crate::mapping::{
    expression::{
        arithmetic::Operation,
        cast,
        facts::Fact,
        functions::{self, Function, Given, KNOWN_ELSEWHERE, Kind, Make, choice},
        moments,
        node::Node,
        types::Type,
        vector::{Fixed, Vector},
        zone,
    },
    nearest::nearest,
};

impl Checker<'_> {
    /// A call, in whatever syntax it is written.
    pub(super) fn any_call(&mut self, syntax: &Expr, place: Range<usize>) -> Option<Typed> {
        let (name, arguments): (&str, Vec<&Expr>) = match syntax {
            Expr::Function(function) => return self.function(function, place),
            Expr::Extract { field, expr, .. } => {
                let value = self.expression(expr)?;
                let part = self.part(field, &place);
                return self.call_function("extract", vec![part, value], place);
            }
            Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("ceil", vec![expr])
            }
            Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                ("floor", vec![expr])
            }
            Expr::Position { expr, r#in } => ("strpos", vec![r#in, expr]),
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => (
                "substring",
                [Some(&**expr), Some(from), substring_for.as_deref()].into_iter().flatten().collect(),
            ),
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    Some(TrimWhereField::Both) | None => "btrim",
                };
                let characters = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                (name, std::iter::once(&**expr).chain(characters).collect())
            }
            _ => return self.not_allowed(syntax, place),
        };
        let arguments: Vec<Option<Typed>> =
            arguments.into_iter().map(|syntax| self.expression(syntax)).collect();
        self.call_function(name, arguments.into_iter().collect::<Option<_>>()?, place)
    }

    /// The part of an EXTRACT as a text.
    fn part(&self, field: &DateTimeField, place: &Range<usize>) -> Typed {
        let text = field.to_string();
        let node = Node::Constant(Vector::text(&text));
        Typed { node, of: Type::TEXT, place: place.clone(), is_literal: true }
    }

    fn function(&mut self, function: &FunctionSyntax, place: Range<usize>) -> Option<Typed> {
        let name = function.name.to_string();
        let plain = function.over.is_none()
            && function.filter.is_none()
            && function.within_group.is_empty()
            && function.null_treatment.is_none()
            && matches!(function.parameters, FunctionArguments::None);
        let arguments = match &function.args {
            FunctionArguments::None => Vec::new(),
            FunctionArguments::List(list)
                if list.clauses.is_empty() && list.duplicate_treatment.is_none() =>
            {
                let expression = |argument| match argument {
                    &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref syntax)) => Some(syntax),
                    _ => None,
                };
                match list.args.iter().map(expression).collect::<Option<Vec<&Expr>>>() {
                    Some(arguments) => arguments,
                    None => return self.no_such_call(&name, place),
                }
            }
            _ => return self.no_such_call(&name, place),
        };
        if !plain || functions::find(&name).is_none() {
            return self.no_such_call(&name, place);
        }
        let arguments: Vec<Option<Typed>> =
            arguments.into_iter().map(|syntax| self.expression(syntax)).collect();
        self.call_function(&name, arguments.into_iter().collect::<Option<_>>()?, place)
    }

    /// A function that there is not, or not in this form.
    fn no_such_call(&mut self, name: &str, place: Range<usize>) -> Option<Typed> {
        let wanted = name.to_ascii_lowercase();
        let elsewhere = KNOWN_ELSEWHERE.iter().find(|(names, _)| names.contains(&wanted.as_str()));
        let names = functions::all()
            .flat_map(|function| std::iter::once(function.name).chain(function.also.iter().copied()));
        let (message, help) = match (functions::find(name), elsewhere, nearest(&wanted, names)) {
            (Some(function), ..) => (
                format!("`{wanted}` is not written like this"),
                Some(format!("write `{}`", function.written.join("` or `"))),
            ),
            (None, Some((_, help)), _) => {
                (format!("`{}` is not a function of expressions", shown(&wanted)), Some((*help).to_owned()))
            }
            (None, None, Some(near)) => (
                format!("there is no function `{}`", shown(&wanted)),
                Some(format!("did you mean `{near}`?")),
            ),
            (None, None, None) => {
                let help = "docs/expressions.md has them all".to_owned();
                (format!("there is no function `{}`", shown(&wanted)), Some(help))
            }
        };
        self.problem(place, message, help.as_deref())
    }

    /// A call of a function that there is.
    fn call_function(&mut self, name: &str, arguments: Vec<Typed>, place: Range<usize>) -> Option<Typed> {
        let function = functions::find(name)?;
        let most = if function.repeats { usize::MAX } else { function.takes.len() };
        if !(function.least..=most).contains(&arguments.len()) {
            let message = match (function.least, most) {
                (least, most) if least == most => format!(
                    "`{}` takes {least} argument{}, and this has {}",
                    function.name,
                    if least == 1 { "" } else { "s" },
                    arguments.len()
                ),
                (least, usize::MAX) => {
                    format!("`{}` takes at least {least}, and this has {}", function.name, arguments.len())
                }
                (least, most) => format!(
                    "`{}` takes {least} to {most} arguments, and this has {}",
                    function.name,
                    arguments.len()
                ),
            };
            let help = format!("write `{}`", function.written.join("` or `"));
            return self.problem(place, message, Some(&help));
        }
        let mut fitting = Vec::with_capacity(arguments.len());
        for (at, argument) in arguments.into_iter().enumerate() {
            let kind = function.takes.get(at).or(function.takes.last()).copied().unwrap_or(Kind::Any);
            fitting.push(self.argument(function, kind, argument));
        }
        let arguments: Vec<Typed> = fitting.into_iter().collect::<Option<_>>()?;
        self.make(function, arguments, place)
    }

    /// An argument as a function takes it.
    fn argument(&mut self, function: &Function, kind: Kind, typed: Typed) -> Option<Typed> {
        let loose = typed.is_loose() || typed.of == Type::Unknown;
        let fits = match kind {
            Kind::Any => true,
            Kind::Text => typed.of == Type::TEXT || typed.of == Type::Unknown,
            Kind::WrittenText => typed.constant_text().is_some() && typed.of == Type::TEXT,
            Kind::Integer => typed.of == Type::INTEGER || loose,
            Kind::WrittenInteger => typed.of == Type::INTEGER && typed.is_constant(),
            Kind::Number => typed.of.is_number() || typed.of == Type::Unknown,
            Kind::Moment => matches!(typed.of, Type::DATE | Type::Local | Type::TIMESTAMP) || loose,
            Kind::Temporal => {
                let of = typed.of;
                matches!(of, Type::DATE | Type::TIME | Type::Local | Type::TIMESTAMP | Type::Interval)
                    || of == Type::Unknown
            }
        };
        if !fits {
            let message =
                format!("{}, but `{}` takes {}", self.sentence(&typed), function.name, kind.phrase());
            let help = (kind == Kind::Text).then_some("`CAST(... AS text)` makes text of it");
            return self.problem(typed.place, message, help);
        }
        match kind {
            Kind::Text => self.text(typed, function.name),
            Kind::Integer if loose => self.coerce(typed, Type::INTEGER),
            Kind::Number if loose => self.coerce(typed, Type::FLOAT),
            Kind::Moment | Kind::Temporal if loose => self.coerce(typed, Type::TIMESTAMP),
            _ => Some(typed),
        }
    }

    fn make(
        &mut self,
        function: &'static Function,
        mut arguments: Vec<Typed>,
        place: Range<usize>,
    ) -> Option<Typed> {
        match function.make {
            Make::Plain(make) => {
                let given: Vec<Given> = arguments.iter().map(given).collect();
                match make(&given) {
                    Ok((of, run)) => Some(self.call(function.name, run, arguments, of, place)),
                    Err(wrong) => {
                        let place =
                            arguments.get(wrong.argument).map_or(place, |argument| argument.place.clone());
                        self.problem(place, wrong.message, wrong.help.as_deref())
                    }
                }
            }
            Make::Coalesce => {
                let (of, arguments) = self.unify(arguments, "coalesce")?;
                let nodes = arguments.into_iter().map(|argument| argument.node).collect();
                Some(Typed { node: Node::Coalesce(nodes, of), of, place, is_literal: false })
            }
            Make::Extreme { greatest } => {
                let (of, arguments) = self.unify(arguments, function.name)?;
                if of == Type::Value(crate::model::value::ValueType::Json) {
                    return self.problem(place, "json values have no order", None);
                }
                let run = choice::extreme(greatest, of);
                Some(self.call(function.name, run, arguments, of, place))
            }
            Make::NullIf => {
                let [other, value] = [arguments.pop()?, arguments.pop()?];
                let value = if value.is_loose() && (other.is_loose() || other.of == Type::Unknown) {
                    self.coerce(Typed { is_literal: false, ..value }, Type::TEXT)?
                } else {
                    value
                };
                let again = self.copy(&value)?;
                let (a, b, scales) = self.alike(again, other, "they cannot be compared")?;
                // A text as written has become what it is compared with.
                let value = if value.is_loose() { self.copy(&a)? } else { value };
                let of = value.of;
                Some(self.call("nullif", choice::null_if(scales), vec![value, a, b], of, place))
            }
            Make::Modulo => {
                let [right, left] = [arguments.pop()?, arguments.pop()?];
                self.numbers(Operation::Modulo, left, right, place)
            }
            Make::Now => Some(self.fact(Fact::Now, place)),
            Make::Today => Some(self.fact(Fact::Today, place)),
            Make::AgeInDays => {
                let then = arguments.pop()?;
                let then = match cast::cast(then.of, Type::DATE) {
                    Some(run) if then.of != Type::DATE => {
                        self.call("cast", run, vec![then], Type::DATE, place.clone())
                    }
                    _ => then,
                };
                let today = self.fact(Fact::Today, place.clone());
                let (run, of) = moments::operation(Operation::Subtract, Type::DATE, Type::DATE)?;
                Some(self.call("age_in_days", run, vec![today, then], of, place))
            }
        }
    }

    /// `x AT TIME ZONE 'Europe/Berlin'`
    pub(super) fn at_time_zone(&mut self, moment: &Expr, zone: &Expr, place: Range<usize>) -> Option<Typed> {
        let (moment, zone) = (self.expression(moment), self.expression(zone));
        let (moment, zone) = (moment?, zone?);
        let Some(name) = zone.constant_text().map(str::to_owned) else {
            let message = "a time zone is written as a text in quotes, as in `AT TIME ZONE 'Europe/Berlin'`";
            return self.problem(zone.place, message, None);
        };
        let Ok(zone_rules) = TimeZone::get(name.trim()) else {
            let names: Vec<String> =
                jiff::tz::db().available().map(|known| known.as_str().to_owned()).collect();
            let help = match nearest(&name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "they have names like `Europe/Berlin` or `UTC`".to_owned(),
            };
            let message = format!("there is no time zone `{}`", shown(&name));
            return self.problem(zone.place, message, Some(&help));
        };
        let (moment, of) = match moment.of {
            Type::TIMESTAMP => (moment, Type::Local),
            Type::Local => (moment, Type::TIMESTAMP),
            // A date beside a time zone is the instant of its midnight in UTC.
            Type::DATE | Type::Unknown => (self.coerce(moment, Type::TIMESTAMP)?, Type::Local),
            _ if moment.is_loose() => (self.coerce(moment, Type::TIMESTAMP)?, Type::Local),
            _ => {
                let message = format!("{}, but AT TIME ZONE takes a timestamp", self.sentence(&moment));
                return self.problem(moment.place, message, None);
            }
        };
        let run = if of == Type::Local { zone::to_local(zone_rules) } else { zone::to_instant(zone_rules) };
        Some(self.call("at time zone", run, vec![moment], of, place))
    }
}

fn given(typed: &Typed) -> Given {
    let integer = match &typed.node {
        Node::Constant(Vector::Integer(Fixed::One(value))) => *value,
        _ => None,
    };
    Given { of: typed.of, text: typed.constant_text().map(str::to_owned), integer }
}
