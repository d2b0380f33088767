//! The query: each parameter once, unknown ones ignored, bounds told as `invalid_query`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::Uri;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use protocol::ErrorCode;
use protocol::limits::PAGE_ITEMS_MAX;

use super::body::check_length;

/// Parameters that one query may have; no call knows a tenth of them.
const PARAMETERS_MAX: usize = 64;
/// The largest seq: what a store can keep.
pub(super) const SEQ_MAX: u64 = i64::MAX as u64;

/// The target of a request, judged when asked for; first whether a body of that length may come
/// along, which a call without one never reads.
pub(super) struct Target {
    uri: Uri,
    body: Result<(), ErrorCode>,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Self { uri: parts.uri.clone(), body: check_length(length) })
    }
}

impl Target {
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(super) fn query(&self) -> Result<Query<'_>, ErrorCode> {
        self.body?;
        Query::read(self.uri.query().unwrap_or_default())
    }
}

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn read(text: &'a str) -> Result<Self, ErrorCode> {
        let mut parameters: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let is_twice = parameters.iter().any(|(given, _)| *given == name);
            if is_twice || parameters.len() == PARAMETERS_MAX {
                return Err(ErrorCode::InvalidQuery);
            }
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.parameters().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// A number in decimal digits alone, within its bounds.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ErrorCode> {
        self.text(name).map(|text| number(text, bounds)).transpose()
    }

    pub(super) fn limit(&self) -> Result<Option<usize>, ErrorCode> {
        let limit = self.number("limit", 1..=PAGE_ITEMS_MAX as u64)?;
        Ok(limit.map(|limit| usize::try_from(limit).expect("it is 1,000 at most")))
    }

    pub(super) fn seq(&self, name: &str) -> Result<Option<u64>, ErrorCode> {
        self.number(name, 0..=SEQ_MAX)
    }

    pub(super) fn id<T: FromStr>(&self, name: &str) -> Result<Option<T>, ErrorCode> {
        let parse = |text: &str| text.parse().map_err(|_| ErrorCode::InvalidQuery);
        self.text(name).map(parse).transpose()
    }
}

pub(super) fn number(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, ErrorCode> {
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.filter(|number| bounds.contains(number)).ok_or(ErrorCode::InvalidQuery)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_stands_once_and_within_its_bounds() {
        let query = Query::read("limit=5&after=%30&x=1").expect("well formed");
        assert_eq!((query.limit(), query.seq("after")), (Ok(Some(5)), Ok(Some(0))));
        assert_eq!(query.seq("before"), Ok(None));
        assert!(Query::read("a=1&b=2&a=1").is_err() && Query::read("a&%61").is_err());
        for bad in ["", "0", "1001", "-1", "+1", "1.0", "1e2", " 1", "x", "99999999999999999999"] {
            let text = format!("limit={}", bad.replace('+', "%2B"));
            let query = Query::read(&text).expect("well formed");
            assert_eq!(query.limit(), Err(ErrorCode::InvalidQuery), "{bad}");
        }
        assert_eq!(number("9223372036854775807", 0..=SEQ_MAX), Ok(SEQ_MAX));
        assert!(number("9223372036854775808", 0..=SEQ_MAX).is_err());
    }

    #[test]
    fn many_parameters_are_too_many() {
        let many: Vec<String> = (0..=PARAMETERS_MAX).map(|n| format!("p{n}=")).collect();
        assert!(Query::read(&many[1..].join("&")).is_ok());
        assert!(Query::read(&many.join("&")).is_err());
    }
}
