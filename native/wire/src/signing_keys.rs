//! The keys that requests are signed with, by AWS Signature Version 4.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The length of a key and of a signature.
pub const HASH_BYTES: usize = 32;

type HmacSha256 = Hmac<Sha256>;

/// Signing keys by secret and scope, at most `most` of them.
pub struct SigningKeys {
    most: usize,
    keys: Mutex<HashMap<Vec<u8>, Arc<SigningKey>>>,
}

/// The key of one secret and scope, and the state of an HMAC that was keyed with it.
pub struct SigningKey {
    pub bytes: [u8; HASH_BYTES],
    keyed: HmacSha256,
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl SigningKeys {
    pub fn new(most: usize) -> Self {
        SigningKeys {
            most,
            keys: Mutex::new(HashMap::new()),
        }
    }

    pub fn get(&self, secret: &str, scope: &[u8]) -> Arc<SigningKey> {
        let mut name = Vec::with_capacity(scope.len() + 1 + secret.len());
        name.extend_from_slice(scope);
        // No secret holds a line's end, so no two pairs share a name.
        name.push(b'\n');
        name.extend_from_slice(secret.as_bytes());
        // A thread that panicked left no half-made key behind.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = keys.get(&name) {
            return Arc::clone(found);
        }
        let made = Arc::new(SigningKey::derive(secret, scope));
        if keys.len() >= self.most {
            keys.clear();
        }
        keys.insert(name, Arc::clone(&made));
        made
    }
}

impl SigningKey {
    /// The key of `<date>/<region>/<service>/aws4_request`.
    pub fn derive(secret: &str, scope: &[u8]) -> Self {
        let mut mac = keyed(&[b"AWS4", secret.as_bytes()].concat());
        let mut bytes = [0_u8; HASH_BYTES];
        for part in scope.split(|byte| *byte == b'/') {
            mac.update(part);
            bytes = mac.finalize().into_bytes().into();
            mac = keyed(&bytes);
        }
        SigningKey { bytes, keyed: mac }
    }

    /// Whether a signature is this key's of a text; compared in constant time.
    pub fn has_signed(&self, text: &[u8], signature: &[u8; HASH_BYTES]) -> bool {
        let mut mac = self.keyed.clone();
        mac.update(text);
        mac.verify_slice(signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    #[test]
    fn the_cache_of_keys_is_bounded() {
        let keys = SigningKeys::new(2);
        let first = keys.get(SECRET, b"a").bytes;
        for scope in [&b"b"[..], b"c", b"a"] {
            keys.get(SECRET, scope);
            assert!(keys.keys.lock().unwrap().len() <= 2);
        }
        assert_eq!(keys.get(SECRET, b"a").bytes, first);
    }
}
