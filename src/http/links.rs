//! `Link` headers (RFC 8288): where a list goes on, as a path on this server with the query that
//! was asked, but for the position.

use axum::response::Response;
use http::HeaderValue;
use http::header::LINK;

use super::query::{Query, Target};

/// The links of one answer.
pub(super) struct Links<'a> {
    target: &'a Target,
    query: &'a Query<'a>,
    text: String,
}

impl<'a> Links<'a> {
    pub(super) fn new(target: &'a Target, query: &'a Query<'a>) -> Self {
        Self { target, query, text: String::new() }
    }

    /// A link that differs from this request in `position` alone: `(name, value)` takes the
    /// place of all parameters in `instead_of`.
    pub(super) fn add(
        &mut self,
        relation: &str,
        (name, value): (&str, &dyn std::fmt::Display),
        instead_of: &[&str],
    ) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let kept = self.query.parameters().filter(|(given, _)| !instead_of.contains(given));
        query.extend_pairs(kept).append_pair(name, &value.to_string());
        let separator = if self.text.is_empty() { "" } else { ", " };
        let path = self.target.path();
        self.text += &format!("{separator}<{path}?{}>; rel=\"{relation}\"", query.finish());
    }

    /// Puts them into an answer, if there are any.
    pub(super) fn put(self, response: &mut Response) {
        // A path that matched a route and a form-encoded query hold no control characters.
        match HeaderValue::try_from(self.text) {
            Ok(value) if !value.is_empty() => {
                response.headers_mut().insert(LINK, value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;

    use super::*;

    async fn target(uri: &str) -> Target {
        let request = http::Request::builder().uri(uri).body(()).expect("a request");
        let Ok(target) = Target::from_request_parts(&mut request.into_parts().0, &()).await;
        target
    }

    #[tokio::test]
    async fn links_keep_what_was_asked_but_the_position() {
        let target = target("/api/x/1/messages?limit=2&after=9&q=%22%3E%20a").await;
        let query = target.query().expect("well formed");
        let mut links = Links::new(&target, &query);
        links.add("prev", ("before", &3), &["after", "before"]);
        links.add("next", ("after", &4), &["after"]);
        let mut response = Response::new(axum::body::Body::empty());
        links.put(&mut response);
        assert_eq!(
            response.headers()[LINK],
            "</api/x/1/messages?limit=2&q=%22%3E+a&before=3>; rel=\"prev\", \
             </api/x/1/messages?limit=2&q=%22%3E+a&after=4>; rel=\"next\"",
        );
    }

    #[tokio::test]
    async fn without_links_there_is_no_header() {
        let target = target("/").await;
        let query = target.query().expect("well formed");
        let mut response = Response::new(axum::body::Body::empty());
        Links::new(&target, &query).put(&mut response);
        assert!(response.headers().is_empty());
    }
}
