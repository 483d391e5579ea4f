//! The numbered sets of built-in defaults: the lowest layer of every ClusterSet.
//!
//! A set never changes once it is released: a change would rebuild clusters that nobody touched. A new set gets a new
//! number, and `fleet.yaml` takes it up by `builtinDefaults`.

use serde_json::Value;

/// The set of this number as a [`crate::set::SetLayer`] in JSON.
pub fn builtin_defaults(number: u32) -> Option<Value> {
    match number {
        1 => serde_json::from_str(include_str!("../data/defaults-1.json")).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::SetLayer;

    #[test]
    fn the_built_in_defaults_are_a_layer_that_leaves_out_count_and_node_pools_alone() {
        let value = builtin_defaults(1).unwrap();
        let layer: SetLayer = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&layer).unwrap(), value, "nothing is lost on the way through the type");
        assert_eq!((layer.count, &layer.node_pools), (None, &None));
        let given = value.as_object().unwrap().len();
        assert_eq!(given, 10, "every other field has a default");
    }

    #[test]
    fn the_built_in_defaults_of_a_number_never_change() {
        insta::assert_snapshot!(format!("{:#}", builtin_defaults(1).unwrap()));
    }

    #[test]
    fn unknown_numbers_have_no_built_in_defaults() {
        assert_eq!(builtin_defaults(0), None);
        assert_eq!(builtin_defaults(2), None);
    }
}
