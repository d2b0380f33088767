//! `/docs`: the document of [`super::openapi`] as one page without a script.
//!
//! It is written once, on the server: a page that draws itself in the browser would need a
//! script, and the policy of our pages allows none.

use std::fmt::Write;

use protocol::ErrorCode;
use serde_json::Value;

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut out = String::with_capacity(128 * 1024);
    out.push_str(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>AssistDeck: reference</title>\n\
         <link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/assets/style.css\">\n</head>\n<body>\n<main>\n",
    );
    let about = rich(text(&document["info"]["description"]));
    put(
        &mut out,
        format_args!(
            "<header><h1>AssistDeck, version {}</h1>\n<p>{about}</p>\n\
             <p>For programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1), and \
             <a href=\"/asyncapi.json\">/asyncapi.json</a> (AsyncAPI 3) for what goes over the \
             WebSocket.</p>\n\
             </header>\n",
            escaped(text(&document["info"]["version"])),
        ),
    );
    for tag in items(&document["tags"]) {
        let tag = text(&tag["name"]);
        put(&mut out, format_args!("<h2>{}</h2>\n", escaped(tag)));
        for (path, method, operation) in operations(document, tag) {
            put_operation(&mut out, path, method, operation);
        }
    }
    put_schemas(&mut out, &document["components"]["schemas"]);
    put_errors(&mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Writing to a `String` does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

fn operations<'a>(
    document: &'a Value,
    tag: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    let paths = members(&document["paths"]);
    let all = paths.flat_map(|(path, methods)| {
        members(methods).map(move |(method, operation)| (path, method, operation))
    });
    all.filter(move |(_, _, operation)| text(&operation["tags"][0]) == tag)
}

fn put_operation(out: &mut String, path: &str, method: &str, operation: &Value) {
    put(
        out,
        format_args!(
            "<details id=\"{}\"><summary><span class=\"method\">{}</span> <code>{}</code>\
         <span class=\"soft\">{}</span></summary>\n",
            escaped(text(&operation["operationId"])),
            method.to_uppercase(),
            escaped(path),
            rich(text(&operation["summary"])),
        ),
    );
    if items(&operation["security"]).next().is_none() {
        out.push_str("<p class=\"soft\">Needs no token.</p>\n");
    }
    put_parameters(out, &operation["parameters"]);
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        put(out, format_args!("<h3>Body</h3>\n<p>{}</p>\n", kind_of(body)));
    }
    out.push_str("<h3>Answers</h3>\n<table><tr><th>status<th>body<th>meaning</tr>\n");
    for (status, response) in members(&operation["responses"]) {
        let content = &response["content"];
        let kinds: Vec<String> = members(content)
            .filter(|_| status.starts_with('2'))
            .map(|(kind, content)| match kind {
                "application/json" => kind_of(&content["schema"]),
                other => format!("<code>{}</code>", escaped(other)),
            })
            .collect();
        put(
            out,
            format_args!(
                "<tr><td>{}<td>{}<td>{}</tr>\n",
                escaped(status),
                kinds.join(" or "),
                rich(text(&response["description"])),
            ),
        );
    }
    out.push_str("</table>\n</details>\n");
}

fn put_parameters(out: &mut String, parameters: &Value) {
    if items(parameters).next().is_none() {
        return;
    }
    out.push_str("<h3>Parameters</h3>\n<table><tr><th>name<th>in<th>form<th>meaning</tr>\n");
    for parameter in items(parameters) {
        let required = if parameter["required"] == true { " (required)" } else { "" };
        put(
            out,
            format_args!(
                "<tr><td><code>{}</code>{required}<td>{}<td>{}<td>{}</tr>\n",
                escaped(text(&parameter["name"])),
                escaped(text(&parameter["in"])),
                kind_of(&parameter["schema"]),
                rich(text(&parameter["description"])),
            ),
        );
    }
    out.push_str("</table>\n");
}

fn put_schemas(out: &mut String, schemas: &Value) {
    out.push_str("<h2>Types</h2>\n");
    for (name, schema) in members(schemas) {
        let name = escaped(name);
        put(
            out,
            format_args!(
                "<details><summary><code>{name}</code><span class=\"soft\">{}</span></summary>\n\
             <div id=\"type-{name}\">\n",
                rich(text(&schema["description"])),
            ),
        );
        let mut rows = String::new();
        put_fields(&mut rows, schema);
        if rows.is_empty() {
            put(out, format_args!("<p>{}</p>\n", kind_of(schema)));
        } else {
            put(
                out,
                format_args!("<table><tr><th>field<th>form<th>meaning</tr>\n{rows}</table>\n"),
            );
        }
        // A link into it opens it: the target stands inside.
        out.push_str("</div>\n</details>\n");
    }
}

fn put_fields(rows: &mut String, schema: &Value) {
    for part in items(&schema["allOf"]) {
        if part["$ref"].is_string() {
            put(rows, format_args!("<tr><td>all of<td>{}<td></tr>\n", kind_of(part)));
        } else {
            put_fields(rows, part);
        }
    }
    for (number, choice) in items(&schema["oneOf"]).enumerate() {
        let or = if number == 0 { "either" } else { "or" };
        put(rows, format_args!("<tr><td>{or}<td>{}<td></tr>\n", kind_of(choice)));
    }
    for (name, field) in members(&schema["properties"]) {
        let is_required = items(&schema["required"]).any(|required| required == name);
        let required = if is_required { " (required)" } else { "" };
        put(
            rows,
            format_args!(
                "<tr><td><code>{}</code>{required}<td>{}<td>{}</tr>\n",
                escaped(name),
                kind_of(field),
                rich(text(&field["description"])),
            ),
        );
    }
}

/// A schema in a few words.
fn kind_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#type-{name}\"><code>{name}</code></a>");
    }
    if schema["type"] == "array" {
        return format!("list of {}", kind_of(&schema["items"]));
    }
    let choices: Vec<String> = items(&schema["oneOf"]).map(kind_of).collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", escaped(text(value)))).collect();
        return values.join(", ");
    }
    if let Some(fields) = schema["properties"].as_object() {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, field)| format!("<code>{}</code>: {}", escaped(name), kind_of(field)))
            .collect();
        return format!("{{{}}}", fields.join(", "));
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect(),
        name => vec![text(name)],
    };
    let mut words = escaped(&names.join(" or "));
    for (key, before) in [
        ("format", " "),
        ("minimum", ", from "),
        ("maximum", ", up to "),
        ("minLength", ", length from "),
        ("maxLength", ", length up to "),
        ("default", ", usually "),
    ] {
        match &schema[key] {
            Value::Null => {}
            Value::String(value) => put(&mut words, format_args!("{before}{}", escaped(value))),
            value => put(&mut words, format_args!("{before}{value}")),
        }
    }
    words
}

fn put_errors(out: &mut String) {
    out.push_str("<h2>Errors</h2>\n<table><tr><th>code<th>status<th>meaning</tr>\n");
    for code in ErrorCode::ALL {
        put(
            out,
            format_args!(
                "<tr><td><code>{}</code><td>{}<td>{}</tr>\n",
                code.code(),
                code.status(),
                escaped(code.sentence()),
            ),
        );
    }
    out.push_str("</table>\n");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// Escaped, with `code` between backticks and a break where a line is left empty.
fn rich(text: &str) -> String {
    let mut out = String::new();
    for (number, part) in escaped(text).split('`').enumerate() {
        match number % 2 {
            0 => out.push_str(&part.replace("\n\n", "<br>")),
            _ => put(&mut out, format_args!("<code>{part}</code>")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(rich("a < `b`\n\n\"c\""), "a &lt; <code>b</code><br>&quot;c&quot;");
    }

    #[test]
    fn every_call_and_every_code_is_on_the_page() {
        let document = super::super::openapi::document();
        let page = page(document);
        for (path, methods) in members(&document["paths"]) {
            assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
            for (_, operation) in members(methods) {
                let name = text(&operation["operationId"]);
                assert!(page.contains(&format!("<details id=\"{name}\">")), "{name}");
            }
        }
        assert!(ErrorCode::ALL.iter().all(|code| page.contains(code.code())));
        assert!(!page.contains("<script") && !page.contains("style="));
    }
}
