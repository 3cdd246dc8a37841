//! The response to a posted result.

/// Whether the body of a 200 response is a receipt of the backend: any JSON. The deployed backend sends an object with an
/// `id`, others send other JSON. A page of a proxy is not JSON.
pub fn is_receipt(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}
