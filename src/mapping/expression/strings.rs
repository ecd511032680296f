//! Texts put together.

use std::sync::Arc;

use super::{cast, node::Run, types::Type, vector::Vector};

/// `||`: NULL with anything is NULL.
pub(super) fn concatenate(left: Type, right: Type) -> Run {
    let scale = |of: Type| of.digits().map_or(0, |(_, scale)| scale);
    let (left_scale, right_scale) = (scale(left), scale(right));
    Arc::new(move |rows, arguments| {
        let [a, b] = arguments else { return Vector::null(Type::TEXT) };
        Vector::Text(rows.write(arguments, |row, out| {
            cast::write(a, row, left, left_scale, out);
            cast::write(b, row, right, right_scale, out);
            Ok(true)
        }))
    })
}
