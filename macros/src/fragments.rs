//! Expressions that reach a macro through a `macro_rules!`.
//!
//! `$value:expr` comes in invisible delimiters, which hold `1 + 1` together in `$value * 2`. The compiler forgets them
//! when a procedural macro hands them back, and the user's code would mean something else without a word. So they become
//! parentheses, where one is needed, in everything that is parsed and printed again; what is passed on as tokens, such
//! as the body of a function, keeps them.

use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprParen, token};

/// Reads an expression of the user's.
pub(crate) fn expression(input: ParseStream<'_>) -> syn::Result<Expr> {
    let mut expr: Expr = input.parse()?;
    // As a whole it needs nothing to hold it together, and what it is shall be seen: a word, a literal, a closure.
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    Visible.visit_expr_mut(&mut expr);
    Ok(expr)
}

struct Visible;

impl VisitMut for Visible {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        if let Expr::Group(group) = expr {
            *expr = visible((*group.expr).clone());
        }
    }
}

fn visible(expr: Expr) -> Expr {
    if holds_together(&expr) {
        return expr;
    }
    // Ours, and not the user's: lints on needless parentheses are not about them.
    let paren_token = token::Paren(Span::mixed_site().located_at(expr.span()));
    Expr::Paren(ExprParen { attrs: Vec::new(), paren_token, expr: Box::new(expr) })
}

/// Whether the expression stays one whatever stands beside it.
fn holds_together(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Array(_)
            | Expr::Await(_)
            | Expr::Call(_)
            | Expr::Field(_)
            | Expr::Index(_)
            | Expr::Lit(_)
            | Expr::MethodCall(_)
            | Expr::Paren(_)
            | Expr::Path(_)
            | Expr::Try(_)
            | Expr::Tuple(_)
    )
}
