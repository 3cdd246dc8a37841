//! Finds the complete id in a truncated or broken claim. A truncated id could be the id of another task.

use serde_json::Deserializer;
use serde_json::value::RawValue;

/// Returns the last complete id at the top level of `text`, the beginning of a truncated or broken object. `None` if there
/// is no id, if it is null, or if it may be truncated.
pub(super) fn id(text: &str) -> Option<Box<RawValue>> {
    let mut rest = text.trim_start_matches(is_space).strip_prefix('{')?;
    let mut id = None;
    while let Some((key, value, after)) = member(rest) {
        if serde_json::from_str::<String>(key.get()).is_ok_and(|key| key == "id") {
            id = Some(value).filter(|value| value.get() != "null");
        }
        let Some(next) = after.strip_prefix(',') else { break };
        rest = next;
    }
    id
}

/// Parses a key and its value; returns them and the rest of the text.
fn member(text: &str) -> Option<(Box<RawValue>, Box<RawValue>, &str)> {
    let (key, after) = value(text)?;
    let (value, after) = value(after.strip_prefix(':')?)?;
    Some((key, value, after))
}

/// Parses a complete JSON value; returns it and the rest of the text without leading white space.
fn value(text: &str) -> Option<(Box<RawValue>, &str)> {
    let mut values = Deserializer::from_str(text).into_iter::<Box<RawValue>>();
    let value = values.next()?.ok()?;
    let after = &text[values.byte_offset()..];
    // A quote or bracket ends a value, but a number may be truncated: 12 may be the beginning of 123.
    let complete = value.get().ends_with(['"', '}', ']'])
        || after.starts_with(|c| is_space(c) || matches!(c, ',' | '}'));
    complete.then(|| (value, after.trim_start_matches(is_space)))
}

/// Whether JSON allows `c` as white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Option<String> {
        id(text).map(|id| id.get().to_owned())
    }

    #[test]
    fn finds_complete_id() {
        for (text, expected) in [
            (r#"{"id":75,"#, "75"),
            (r#"{"id":70,}"#, "70"),
            (r#"{"id":70 "#, "70"),
            (r#"{"repositoryUrl":"https://h/r.git","id":76 "#, "76"),
            (r#"{"x":"\"id\":998,","id":82,"re"#, "82"),
            (r#"{"x":{"id":1},"y":[{"id":2}],"id":3,"z"#, "3"),
            (r#"{"id":1,"id":2,"x":"#, "2"),
            (r#" { "\u0069d" : "a b" "#, r#""a b""#),
            (r#"{"id":"a,\"id\":5,""#, r#""a,\"id\":5,""#),
            (r#"{"id":{"a":[1,  2]}"#, r#"{"a":[1,  2]}"#),
            (r#"{"id":7,"repositoryUrl":"u"} trailing"#, "7"),
            (r#"{"id":7,"x":NaN,"id":8,"y":1}"#, "7"),
            (r#"{"\ud800":1,"id":-0.5e3}x"#, "-0.5e3"),
        ] {
            assert_eq!(found(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn rejects_cut_or_nested_id() {
        for text in [
            "",
            "id",
            "{",
            r#"{"id""#,
            r#"{"id":"#,
            r#"{"id":7"#,
            r#"{"id":-"#,
            r#"{"id":1."#,
            r#"{"id":tru"#,
            r#"{"id":7x,"#,
            r#"{"id":"ab"#,
            r#"{"id":"ab\""#,
            r#"{"id":[1,"#,
            r#"{"id":null,"x":1"#,
            r#"{"id":5,"id":null,"x"#,
            r#"{"x":"\"id\":998,","re"#,
            r#"{"x":"{\"id\":998}"#,
            r#"{"task":{"id":998},"re"#,
            r#"{"ids":998,"Id":998,"re"#,
            r#"[{"id":998},"#,
            r#"<p>{"id":998}"#,
            r#"{"x":1 "id":998,"re"#,
            r#"{id:998,"re"#,
        ] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(found(&format!(r#"{{"x":{}"#, "[".repeat(100_000))), None);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Into::into),
            any::<bool>().prop_map(Into::into),
            r#"[a-z"\\:,{}é🙂\n]{0,12}|"id":[0-9]{1,3},"#.prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::vec(("id|[a-z]{1,3}", inner), 0..3)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn cut_claim_gives_exact_id_or_none(
            before in prop::collection::vec(("[a-z]{3,5}", json()), 0..3),
            own in json(),
            after in prop::collection::vec(("[a-z]{3,5}", json()), 0..3),
            pretty: bool,
        ) {
            let write = |value: &serde_json::Value| {
                if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }.unwrap()
            };
            let mut claim = "{".to_owned();
            let mut whole_from = 0;
            let members: Vec<_> =
                before.into_iter().chain([("id".to_owned(), own.clone())]).chain(after).collect();
            for (i, (key, value)) in members.iter().enumerate() {
                claim += if i > 0 { "," } else { "" };
                claim = format!("{claim}{}:{}", write(&key.clone().into()), write(value));
                if key == "id" {
                    whole_from = claim.len() + 1;
                }
            }
            claim.push('}');
            let own = write(&own);
            for end in (0..=claim.len()).filter(|&end| claim.is_char_boundary(end)) {
                match found(&claim[..end]) {
                    Some(id) => prop_assert_eq!(&id, &own, "{}", &claim[..end]),
                    None => prop_assert!(end < whole_from, "{}", &claim[..end]),
                }
            }
        }

        #[test]
        fn accepts_any_text(text in any::<String>(), broken in r#"[{}\[\]",:\\id0-9nul. -]{0,40}"#) {
            id(&text);
            id(&broken);
            id(&format!("{{{broken}"));
        }
    }
}
