//! Paths of request fields, as refusals name them.

use std::fmt;

/// The path of a field from the request's root, e.g. `currencies[3].decimals`.
///
/// Each step borrows the one before, so that a sound request allocates nothing for its paths.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'a> FieldPath<'a> {
    /// One element of a repeated field of the request.
    pub(super) const fn element(name: &'static str, index: usize) -> Self {
        Self {
            parent: None,
            name,
            index: Some(index),
        }
    }

    /// A field of the request.
    pub(super) const fn root(name: &'static str) -> Self {
        Self {
            parent: None,
            name,
            index: None,
        }
    }

    /// A field inside this one.
    pub(super) const fn field(&'a self, name: &'static str) -> Self {
        Self {
            parent: Some(self),
            name,
            index: None,
        }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_printed_from_the_requests_root() {
        let currency = FieldPath::element("currencies", 3);
        let decimals = currency.field("decimals");
        assert_eq!(decimals.to_string(), "currencies[3].decimals");
        assert_eq!(FieldPath::root("ack_level").to_string(), "ack_level");
    }
}
