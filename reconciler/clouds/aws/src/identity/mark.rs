//! What the description of a role says. A list of roles shows no tags; it shows descriptions.

use std::fmt;

use crate::owner::Owner;

/// Whose a role is, and what its identity was made from; nothing as long as it is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub owner: Owner,
    /// The fingerprint, on the role of the control plane; empty on the others.
    pub applied: String,
}

impl Mark {
    /// What a description says, if it is one of ours to the letter: people write descriptions too.
    pub fn parse(description: &str) -> Option<Self> {
        let words: Vec<&str> = description.split(' ').collect();
        let ["fleetwright", cluster, set, ordinal, applied] = words[..] else { return None };
        let owner = Owner {
            cluster: cluster.strip_prefix("cluster=")?.parse().ok()?,
            set: set.strip_prefix("set=")?.parse().ok()?,
            ordinal: ordinal.strip_prefix("ordinal=")?.parse().ok()?,
        };
        let mark = Self { owner, applied: applied.strip_prefix("applied=")?.to_owned() };
        (mark.to_string() == description).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner: Owner { cluster, set, ordinal }, applied } = self;
        write!(f, "fleetwright cluster={cluster} set={set} ordinal={ordinal} applied={applied}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        "fleetwright cluster=serving-1 set=prod/aws/eu-west-1/Serving ordinal=1 applied=0123456789abcdef";

    #[test]
    fn what_was_written_is_read_again() {
        let mark = Mark::parse(WHOLE).unwrap();
        assert_eq!((mark.owner.ordinal, &*mark.applied), (1, "0123456789abcdef"));
        assert_eq!(mark.to_string(), WHOLE);
        let begun = Mark { applied: String::new(), ..mark };
        assert_eq!(Mark::parse(&begun.to_string()), Some(begun));
    }

    #[test]
    fn what_is_not_ours_to_the_letter_is_nobody_s() {
        let wrong = [
            "",
            "fleetwright",
            &WHOLE.replace("ordinal=1", "ordinal=+1"),
            &WHOLE.replace("ordinal=1", "ordinal=01"),
            &WHOLE.replace("serving-1", "Serving 1"),
            &WHOLE.replace(" set=", "  set="),
            &WHOLE.replace("prod/aws/eu-west-1/", ""),
            &format!("{WHOLE} and more"),
            &format!(" {WHOLE}"),
        ];
        for text in wrong {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_longest_fits_into_a_description() {
        let label = "a".repeat(40);
        let set = format!("{label}/aws/{label}/{label}").parse().unwrap();
        let owner = Owner { cluster: "c".repeat(100).parse().unwrap(), set, ordinal: u32::MAX };
        assert!(Mark { owner, applied: "f".repeat(64) }.to_string().len() <= 1000);
    }
}
