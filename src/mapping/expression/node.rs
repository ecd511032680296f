//! The typed tree of an expression, and how it runs: column by column, each operand on the rows selected for it only.

use std::{fmt, sync::Arc};

use arrow_array::StringArray;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};

use super::{
    Inputs,
    facts::Fact,
    rows::{Outcome, Rows},
    types::Type,
    vector::{Bits, Fixed, Texts, Vector},
};
use crate::model::value::ValueType;

/// An operation on columns of values. NULL and failures are its own business.
pub(super) type Run = Arc<dyn Fn(&Rows<'_>, &[Vector]) -> Vector + Send + Sync>;

/// A part of an expression.
#[derive(Clone)]
pub(super) enum Node {
    /// A column of the scope.
    Column(usize, ValueType),
    /// The same value always.
    Constant(Vector),
    /// Something known of the file or the delivery.
    Fact(Fact),
    /// The number of the record.
    Record,
    /// True when all are.
    And(Vec<Node>),
    /// True when one is.
    Or(Vec<Node>),
    /// The result that belongs to the first condition that is true.
    Case { branches: Vec<(Node, Node)>, otherwise: Box<Node>, of: Type },
    /// The first that is not NULL.
    Coalesce(Vec<Node>, Type),
    /// Everything whose arguments are all needed.
    Call { name: &'static str, run: Run, arguments: Vec<Node> },
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(index, _) => write!(f, "column {index}"),
            Self::Constant(vector) => vector.fmt(f),
            Self::Fact(fact) => fact.fmt(f),
            Self::Record => f.write_str("record"),
            Self::And(operands) => f.debug_tuple("and").field(operands).finish(),
            Self::Or(operands) => f.debug_tuple("or").field(operands).finish(),
            Self::Case { branches, otherwise, .. } => {
                f.debug_tuple("case").field(branches).field(otherwise).finish()
            }
            Self::Coalesce(operands, _) => f.debug_tuple("coalesce").field(operands).finish(),
            Self::Call { name, arguments, .. } => f.debug_tuple(name).field(arguments).finish(),
        }
    }
}

impl Node {
    /// Looks at this part and all below it.
    pub(super) fn visit(&self, look: &mut impl FnMut(&Self)) {
        look(self);
        match self {
            Self::Column(..) | Self::Constant(_) | Self::Fact(_) | Self::Record => {}
            Self::And(operands) | Self::Or(operands) | Self::Coalesce(operands, _) => {
                operands.iter().for_each(|operand| operand.visit(look));
            }
            Self::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    condition.visit(look);
                    result.visit(look);
                }
                otherwise.visit(look);
            }
            Self::Call { arguments, .. } => arguments.iter().for_each(|argument| argument.visit(look)),
        }
    }

    /// The values of the rows. What stands in rows that are not selected means nothing.
    pub(super) fn run(&self, inputs: &Inputs<'_>, rows: &Rows<'_>) -> Vector {
        match self {
            Self::Column(index, value_type) => {
                let array = inputs.columns.get(*index).and_then(Option::as_ref);
                match array.filter(|array| array.len() == rows.len) {
                    Some(array) => Vector::of(array, *value_type),
                    None => Vector::null(Type::Value(*value_type)),
                }
            }
            Self::Constant(vector) => vector.clone(),
            Self::Fact(fact) => fact.value(inputs.facts),
            Self::Record => {
                let first = i64::try_from(inputs.first_record).unwrap_or(i64::MAX);
                let number = |row: usize| match inputs.numbers.get(row) {
                    Some(number) => i64::try_from(*number).unwrap_or(i64::MAX),
                    None => first.saturating_add(row as i64),
                };
                Vector::Integer(Fixed::Many((0..rows.len).map(number).collect(), None))
            }
            Self::And(operands) => logic(operands, inputs, rows, false),
            Self::Or(operands) => logic(operands, inputs, rows, true),
            Self::Case { branches, otherwise, of } => {
                let mut choice = Choice::new(rows);
                for (condition, result) in branches {
                    if choice.is_complete() {
                        break;
                    }
                    let Vector::Boolean(found) = condition.run(inputs, &choice.open) else { continue };
                    choice.take(&found.truths(rows.len), |rows| result.run(inputs, rows));
                }
                choice.take(&BooleanBuffer::new_set(rows.len), |rows| otherwise.run(inputs, rows));
                choice.into_vector(*of)
            }
            Self::Coalesce(operands, of) => {
                let mut choice = Choice::new(rows);
                for operand in operands {
                    if choice.is_complete() {
                        break;
                    }
                    let vector = operand.run(inputs, &choice.open);
                    let known = BooleanBuffer::collect_bool(rows.len, |row| vector.is_known(row));
                    choice.take(&known, |_| vector);
                }
                choice.into_vector(*of)
            }
            Self::Call { run, arguments, .. } => {
                let arguments: Vec<Vector> =
                    arguments.iter().map(|argument| argument.run(inputs, rows)).collect();
                call(run, &arguments, rows)
            }
        }
    }
}

/// Runs an operation; once for all rows when all its arguments are the same in all rows.
pub(super) fn call(run: &Run, arguments: &[Vector], rows: &Rows<'_>) -> Vector {
    if rows.is_empty() || !arguments.iter().all(Vector::is_one) {
        return run(rows, arguments);
    }
    let outcome = Outcome::default();
    let value = run(&Rows::single(&outcome), arguments).into_one();
    if let Some((_, failure)) = outcome.into_failures().first() {
        rows.fail_all(failure);
    }
    value
}

/// AND, or OR when `decisive`: an operand runs only where those before it have not decided.
fn logic(operands: &[Node], inputs: &Inputs<'_>, rows: &Rows<'_>, decisive: bool) -> Vector {
    let mut decided = BooleanBuffer::new_unset(rows.len);
    let mut undecided = BooleanBuffer::new_set(rows.len);
    for operand in operands {
        let open = rows.only(&!&decided);
        if open.is_empty() {
            break;
        }
        let Vector::Boolean(found) = operand.run(inputs, &open) else { continue };
        let (truths, lies) = (found.truths(rows.len), found.lies(rows.len));
        let (deciding, other) = if decisive { (truths, lies) } else { (lies, truths) };
        decided = &decided | &(&deciding & &open.bits());
        undecided = &undecided & &other;
    }
    let undecided = &undecided & &!&decided;
    let known = NullBuffer::new(&decided | &undecided);
    let values = if decisive { decided } else { undecided };
    Vector::Boolean(Bits::Many(values, Some(known)))
}

/// Which of several results each row takes.
struct Choice<'a> {
    open: Rows<'a>,
    /// Index into `results`, from 1; 0 for none.
    taken: Vec<u32>,
    results: Vec<Vector>,
}

impl<'a> Choice<'a> {
    fn new(rows: &Rows<'a>) -> Self {
        let open = rows.only(&BooleanBuffer::new_set(rows.len));
        Self { open, taken: vec![0; rows.len], results: Vec::new() }
    }

    fn is_complete(&self) -> bool {
        self.open.is_empty()
    }

    /// The open rows with a set bit take this result.
    fn take(&mut self, bits: &BooleanBuffer, result: impl FnOnce(&Rows<'a>) -> Vector) {
        let chosen = self.open.only(bits);
        if chosen.is_empty() {
            return;
        }
        self.results.push(result(&chosen));
        let number = self.results.len() as u32;
        for row in chosen.bits().set_indices() {
            if let Some(slot) = self.taken.get_mut(row) {
                *slot = number;
            }
        }
        self.open = self.open.only(&!&chosen.bits());
    }

    fn into_vector(self, of: Type) -> Vector {
        let fixed = &self;
        match Vector::null(of) {
            Vector::Boolean(_) => {
                let at = |row| {
                    fixed.result(row).and_then(|vector| match vector {
                        Vector::Boolean(bits) => bits.at(row),
                        _ => None,
                    })
                };
                let len = self.taken.len();
                let known = NullBuffer::new(BooleanBuffer::collect_bool(len, |row| at(row).is_some()));
                let values = BooleanBuffer::collect_bool(len, |row| at(row).unwrap_or_default());
                Vector::Boolean(Bits::Many(values, Some(known)))
            }
            Vector::Text(_) => {
                let at = |row| {
                    fixed.result(row).and_then(|vector| match vector {
                        Vector::Text(texts) => texts.at(row),
                        _ => None,
                    })
                };
                let texts = || (0..self.taken.len()).map(at);
                if !self.open.may_make(texts().flatten().map(str::len).sum()) {
                    return Vector::null(of);
                }
                Vector::Text(Texts::Many(texts().collect::<StringArray>()))
            }
            Vector::Integer(_) => Vector::Integer(self.fixed(|vector, row| match vector {
                Vector::Integer(values) => values.at(row),
                _ => None,
            })),
            Vector::Decimal(_) => Vector::Decimal(self.fixed(|vector, row| match vector {
                Vector::Decimal(values) => values.at(row),
                _ => None,
            })),
            Vector::Interval(_) => Vector::Interval(self.fixed(|vector, row| match vector {
                Vector::Interval(values) => values.at(row),
                _ => None,
            })),
            Vector::Float(_) => Vector::Float(self.fixed(|vector, row| match vector {
                Vector::Float(values) => values.at(row),
                _ => None,
            })),
            Vector::Date(_) => Vector::Date(self.fixed(|vector, row| match vector {
                Vector::Date(values) => values.at(row),
                _ => None,
            })),
            Vector::Time(_) => Vector::Time(self.fixed(|vector, row| match vector {
                Vector::Time(values) => values.at(row),
                _ => None,
            })),
            Vector::Timestamp(_) => Vector::Timestamp(self.fixed(|vector, row| match vector {
                Vector::Timestamp(values) => values.at(row),
                _ => None,
            })),
        }
    }

    fn result(&self, row: usize) -> Option<&Vector> {
        let number = self.taken.get(row).copied().unwrap_or_default() as usize;
        self.results.get(number.checked_sub(1)?)
    }

    fn fixed<T: ArrowNativeType>(&self, at: impl Fn(&Vector, usize) -> Option<T>) -> Fixed<T> {
        let (mut values, mut known) = (Vec::with_capacity(self.taken.len()), Vec::new());
        for row in 0..self.taken.len() {
            let value = self.result(row).and_then(|vector| at(vector, row));
            known.push(value.is_some());
            values.push(value.unwrap_or_default());
        }
        Fixed::Many(values.into(), Some(NullBuffer::from(known)))
    }
}
