//! The W3C trace context of a request.

use tonic::metadata::MetadataMap;

const TRACEPARENT: &str = "traceparent";

/// `00-`, 32 digits of trace, 16 of span, 2 of flags, each part after a dash.
const TRACEPARENT_LENGTH: usize = 55;

/// The request's `traceparent`, when it is one of version 00. Anything else is left out, as the
/// standard wants: a bad trace context must not fail a request.
pub(super) fn traceparent(metadata: &MetadataMap) -> Option<String> {
    let text = metadata.get(TRACEPARENT)?.to_str().ok()?;
    is_sound(text).then(|| text.to_owned())
}

fn is_sound(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts.as_slice() else {
        return false;
    };
    let is_hex = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_set = |part: &str| part.bytes().any(|b| b != b'0');
    text.len() == TRACEPARENT_LENGTH
        && *version == "00"
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && [trace, span, flags].into_iter().all(|part| is_hex(part))
        && is_set(trace)
        && is_set(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_trace_context_goes_along() {
        let rows = [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            ("", false),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                false,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
                false,
            ),
        ];
        for (text, sound) in rows {
            let mut metadata = MetadataMap::new();
            metadata.insert(TRACEPARENT, text.parse().unwrap());
            let expected = sound.then(|| text.to_owned());
            assert_eq!(traceparent(&metadata), expected, "{text}");
        }
        assert_eq!(traceparent(&MetadataMap::new()), None);
    }
}
