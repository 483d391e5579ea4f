//! The authority of all simulated clusters: a certificate like any other, whose key nobody kept. The clusters answer
//! without TLS, and clients want to read it all the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PEM: &str = include_str!("../data/ca.pem");

/// As `certificateAuthority.data` holds it.
pub fn data() -> String {
    STANDARD.encode(PEM)
}
