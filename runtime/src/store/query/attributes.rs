//! Conditions on attributes: of a span, and of what belongs to it.

use serde_json::Value as Json;

use crate::store::sql::{Dialect, Sql};

/// `(..)`: whether the span has the attribute. `alias` ends with a point, or is empty.
pub(super) fn on_span(sql: &mut Sql, alias: &str, key: &str, value: &str) {
    let wanted = Wanted::new(key, value);
    sql.push("(");
    wanted.own(sql, &format!("{alias}attributes"));
    sql.push(")");
}

/// `(..)`: whether the span has the attribute, or one of its events, its resource or its scope.
pub(super) fn on_span_or_around(sql: &mut Sql, alias: &str, key: &str, value: &str) {
    let wanted = Wanted::new(key, value);
    sql.push("(");
    wanted.own(sql, &format!("{alias}attributes"));
    sql.push(" or ");
    wanted.in_events(sql, alias);
    // There are few resources: one for each process and scope.
    sql.push(" or ")
        .push(alias)
        .push("resource_id in (select r.resource_id from execution_trace_resources r where ");
    wanted.object(sql, "r.resource");
    sql.push(" or ");
    wanted.object(sql, sql.dialect.pick("(r.scope->'attributes')", "json_extract(r.scope, '$.attributes')"));
    if let Some(member) = [("otel.scope.name", "name"), ("otel.scope.version", "version")]
        .iter()
        .find_map(|(name, member)| (*name == key).then_some(*member))
    {
        let text =
            sql.dialect.pick(format!("r.scope->>'{member}'"), format!("json_extract(r.scope, '$.{member}')"));
        sql.push(" or ").push(&text).push(" = ").string(value);
    }
    sql.push("))");
}

/// A key, and its value as a string and as the number or boolean that it spells.
struct Wanted<'a> {
    key: &'a str,
    value: &'a str,
    literal: Option<Json>,
}

impl<'a> Wanted<'a> {
    fn new(key: &'a str, value: &'a str) -> Self {
        let literal = serde_json::from_str::<Json>(value)
            .ok()
            .filter(|literal| literal.is_number() || literal.is_boolean());
        Self { key, value, literal }
    }

    /// Whether a span's own attributes, the text of which we wrote, have the member.
    fn own(&self, sql: &mut Sql, column: &str) {
        #[cfg(feature = "sqlite")]
        if sql.dialect == Dialect::Sqlite
            && let Some(text) = self.written()
        {
            // Parsing takes a hundred times as long as looking for the value's text.
            sql.push("instr(").push(column).push(", ").string(&text).push(") > 0 and ");
        }
        self.object(sql, column);
    }

    /// What stands in the text of every object that has the member; `None` where a number may be written in several ways.
    #[cfg(feature = "sqlite")]
    fn written(&self) -> Option<String> {
        match &self.literal {
            // Whole doubles are written with a point behind the same digits, as long as they have no exponent.
            Some(Json::Number(number)) => {
                let whole = number.as_i64().filter(|whole| whole.unsigned_abs() < 1_000_000_000_000_000)?;
                return Some(whole.to_string());
            }
            Some(_) => return Some(self.value.to_owned()),
            None => {}
        }
        let mut text = String::new();
        crate::store::json::string(&mut text, self.value);
        Some(text)
    }

    /// Whether the JSON object in a column has the member.
    fn object(&self, sql: &mut Sql, column: &str) {
        match sql.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => self.contained(sql, column, |object| object),
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                sql.push("exists (select 1 from json_each(").push(column).push(") j where ");
                self.member(sql);
                sql.push(")");
            }
        }
    }

    /// Whether an event has it.
    fn in_events(&self, sql: &mut Sql, alias: &str) {
        match sql.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => self.contained(
                sql,
                &format!("{alias}events"),
                |object| serde_json::json!([{ "attributes": object }]),
            ),
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                sql.push("exists (select 1 from json_each(")
                    .push(alias)
                    .push("events) v, json_each(json_extract(v.value, '$.attributes')) j where ");
                self.member(sql);
                sql.push(")");
            }
        }
    }

    /// Containment, because the index over attributes answers nothing else.
    #[cfg(feature = "postgres")]
    fn contained(&self, sql: &mut Sql, column: &str, wrap: impl Fn(Json) -> Json) {
        use crate::store::span::clean;

        let key = clean(self.key);
        let contains = |sql: &mut Sql, value: &Json| {
            let document = wrap(serde_json::json!({ &key: value }));
            sql.push(column).push(" @> ").string(&document.to_string()).push("::text::jsonb");
        };
        sql.push("(");
        contains(sql, &clean(self.value).into());
        if let Some(literal) = &self.literal {
            sql.push(" or ");
            contains(sql, literal);
        }
        sql.push(")");
    }

    /// The condition on one row `j` of `json_each`.
    #[cfg(feature = "sqlite")]
    fn member(&self, sql: &mut Sql) {
        sql.push("j.key = ").string(self.key);
        sql.push(" and (j.type = 'text' and j.value = ").string(self.value);
        match &self.literal {
            Some(Json::Bool(value)) => {
                sql.push(if *value { " or j.type = 'true'" } else { " or j.type = 'false'" });
            }
            Some(number) => {
                sql.push(" or j.type in ('integer', 'real') and j.value = ");
                match number.as_i64() {
                    Some(whole) => sql.int(whole),
                    None => sql.bind(crate::store::sql::Param::Double(number.as_f64().unwrap_or(f64::NAN))),
                };
            }
            None => {}
        }
        sql.push(")");
    }
}
