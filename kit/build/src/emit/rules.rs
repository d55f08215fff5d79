//! `check_rules` of a message: which checks of the kit its fields get.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::{Context, ident, tokens};
use crate::{
    error::Error,
    model::{
        Codec, Field, Shape,
        rules::{Argument, Call, Entry, FieldCheck, Group, ItemCheck, Rules, ValueCheck, What},
    },
};

/// The items of `impl Message` that say the rules.
pub(super) fn rules(cx: &Context, fields: &[Field], rules: &Rules) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let mut code = TokenStream::new();
    for group in &rules.groups {
        code.extend(of_group(cx, fields, group)?);
    }
    for (name, rust) in &rules.oneofs {
        let rust = ident(rust);
        code.extend(quote! { if self.#rust.is_none() { check.field(#name).missing(); } });
    }
    for check in &rules.fields {
        if let Some(field) = fields.get(check.field) {
            code.extend(of_field(cx, field, check)?);
        }
    }
    let check = if code.is_empty() { quote!(_check) } else { quote!(check) };
    Ok(quote! {
        const HAS_RULES: bool = true;

        fn check_rules(&self, #check: &mut #kit::message::rules::Check<'_>) { #code }
    })
}

fn of_group(cx: &Context, fields: &[Field], group: &Group) -> Result<TokenStream, Error> {
    let fields: Vec<&Field> = group.fields.iter().filter_map(|index| fields.get(*index)).collect();
    let names = fields.iter().map(|field| &field.name);
    let set = fields.iter().map(|field| is_set(cx, field)).collect::<Result<Vec<_>, _>>()?;
    let required = group.required;
    Ok(quote! { check.one_of_fields(&[#(#names),*], &[#(#set),*], #required); })
}

fn is_set(cx: &Context, field: &Field) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let rust = ident(&field.ident);
    Ok(match &field.shape {
        Shape::Optional(_) => quote! { self.#rust.is_some() },
        Shape::Member { variant, .. } => {
            let variant = tokens(variant)?;
            quote! { ::core::matches!(self.#rust, ::core::option::Option::Some(#variant(_))) }
        }
        Shape::Singular(_) | Shape::Repeated(_) | Shape::Map(..) => {
            quote! { !#kit::message::rules::is_zero(&self.#rust) }
        }
    })
}

fn of_field(cx: &Context, field: &Field, check: &FieldCheck) -> Result<TokenStream, Error> {
    let name = &field.name;
    let rust = ident(&field.ident);
    let here = quote! { check.field(#name) };
    let missing = check.required.then(|| quote! { #here.missing(); });
    let value = |codec: &Codec, value: TokenStream| match &check.what {
        What::Value(rules) => of_value(cx, &here, &unboxed(codec, value), rules),
        What::List { .. } | What::Map { .. } => Ok(TokenStream::new()),
    };
    let pattern = match &field.shape {
        Shape::Optional(_) => quote! { ::core::option::Option::Some(value) },
        Shape::Member { variant, .. } => {
            let variant = tokens(variant)?;
            quote! { ::core::option::Option::Some(#variant(value)) }
        }
        Shape::Singular(_) | Shape::Repeated(_) | Shape::Map(..) => {
            let code = match (&field.shape, &check.what) {
                (Shape::Singular(codec), _) => value(codec, quote!(&self.#rust))?,
                (_, What::List { calls, items }) => {
                    let mut code = quote! { #here.list(&self.#rust) };
                    code.extend(of_calls(cx, calls)?);
                    code.extend(of_items(cx, "each", items.as_ref())?);
                    quote! { #code; }
                }
                (_, What::Map { calls, keys, values }) => {
                    let mut code = quote! { #here.map(&self.#rust) };
                    code.extend(of_calls(cx, calls)?);
                    code.extend(of_items(cx, "keys", keys.as_ref())?);
                    code.extend(of_items(cx, "values", values.as_ref())?);
                    quote! { #code; }
                }
                (_, What::Value(_)) => TokenStream::new(),
            };
            let is_set = is_set(cx, field)?;
            return Ok(match missing {
                Some(missing) => quote! { if #is_set { #code } else { #missing } },
                None if check.unless_zero => quote! { if #is_set { #code } },
                None => code,
            });
        }
    };
    let codec = match &field.shape {
        Shape::Optional(codec) | Shape::Member { codec, .. } | Shape::Singular(codec) | Shape::Repeated(codec) => codec,
        Shape::Map(_, codec) => codec,
    };
    let code = value(codec, quote!(value))?;
    let is_set = is_set(cx, field)?;
    Ok(match missing {
        Some(missing) if code.is_empty() => quote! { if !#is_set { #missing } },
        Some(missing) => quote! { if let #pattern = &self.#rust { #code } else { #missing } },
        None => quote! { if let #pattern = &self.#rust { #code } },
    })
}

fn unboxed(codec: &Codec, value: TokenStream) -> TokenStream {
    if matches!(codec, Codec::Boxed(_)) { quote!(&**#value) } else { value }
}

/// `.each(|check, value| ...)`.
fn of_items(cx: &Context, call: &str, items: Option<&ItemCheck>) -> Result<TokenStream, Error> {
    let Some(items) = items else { return Ok(TokenStream::new()) };
    let kit = &cx.kit;
    let call = format_ident!("{call}");
    let code = of_value(cx, &quote!(check), &quote!(value), &items.check)?;
    Ok(if items.unless_zero {
        quote! { .#call(|check, value| if !#kit::message::rules::is_zero(value) { #code }) }
    } else {
        quote! { .#call(|check, value| { #code }) }
    })
}

fn of_value(cx: &Context, here: &TokenStream, value: &TokenStream, rules: &ValueCheck) -> Result<TokenStream, Error> {
    let mut code = TokenStream::new();
    if let Some((entry, calls)) = &rules.rules {
        let entry = match entry {
            Entry::String => quote! { .string(#value) },
            Entry::Bytes => quote! { .bytes(#value) },
            Entry::Scalar => quote! { .scalar(#value) },
            Entry::Duration => quote! { .duration(#value) },
            Entry::Timestamp => quote! { .timestamp(#value) },
            Entry::TypeUrl => quote! { .string(&(#value).type_url) },
            Entry::Enum(path) => {
                let path = tokens(path)?;
                quote! { .enumeration::<#path>(#value) }
            }
            // No rule of these is supported, so there is none.
            Entry::FieldMask => return Ok(code),
        };
        let calls = of_calls(cx, calls)?;
        code.extend(quote! { #here #entry #calls; });
    }
    if rules.nested {
        code.extend(quote! { #here.message(#value); });
    }
    Ok(code)
}

fn of_calls(cx: &Context, calls: &[Call]) -> Result<TokenStream, Error> {
    let mut code = TokenStream::new();
    for Call { name, arguments } in calls {
        let name = format_ident!("{name}");
        let arguments = arguments.iter().map(|given| argument(cx, given)).collect::<Result<Vec<_>, _>>()?;
        code.extend(quote! { .#name(#(#arguments),*) });
    }
    Ok(code)
}

fn argument(cx: &Context, given: &Argument) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    Ok(match given {
        Argument::Literal(text) => tokens(text)?,
        Argument::Text(text) => quote! { #text },
        Argument::Bytes(bytes) => {
            let bytes = Literal::byte_string(bytes);
            // As a slice: the literals of a list have different lengths, and so different types.
            quote! { #bytes.as_slice() }
        }
        Argument::Span(seconds, nanos) => time(cx, "Span", *seconds, *nanos)?,
        Argument::Moment(seconds, nanos) => time(cx, "Moment", *seconds, *nanos)?,
        Argument::Pattern(text) => quote! {
            {
                static PATTERN: #kit::message::rules::Pattern = #kit::message::rules::Pattern::new(#text);
                &PATTERN
            }
        },
        Argument::Format(name) => {
            let name = format_ident!("{name}");
            quote! { #kit::message::rules::Format::#name }
        }
        Argument::List(values) => {
            let values = values.iter().map(|value| argument(cx, value)).collect::<Result<Vec<_>, _>>()?;
            quote! { &[#(#values),*] }
        }
        Argument::Included(limit) => {
            let limit = argument(cx, limit)?;
            quote! { ::core::ops::Bound::Included(#limit) }
        }
        Argument::Excluded(limit) => {
            let limit = argument(cx, limit)?;
            quote! { ::core::ops::Bound::Excluded(#limit) }
        }
    })
}

fn time(cx: &Context, of: &str, seconds: i64, nanos: i32) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let of = format_ident!("{of}");
    let (seconds, nanos) = (tokens(&seconds.to_string())?, tokens(&nanos.to_string())?);
    Ok(quote! { #kit::message::rules::#of::new(#seconds, #nanos) })
}
