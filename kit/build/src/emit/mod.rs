//! The model as Rust code. Only shapes are written here; decisions were taken in the model.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::{error::Error, model::Package};

mod enumeration;
mod message;
mod module;
mod rules;
mod service;

pub(crate) use module::{assemble, module_tree};

/// What all emitted code needs.
pub(crate) struct Context {
    /// The path of the kit.
    kit: TokenStream,
    /// The version that the kit must have; none for the kit's own code.
    version: Option<&'static str>,
}

impl Context {
    pub(crate) fn new(kit: &str, version: Option<&'static str>) -> Result<Self, Error> {
        Ok(Self { kit: tokens(kit)?, version })
    }
}

/// Everything of a package besides the types that prost wrote.
pub(crate) fn package(cx: &Context, package: &Package, openapi: &str) -> Result<TokenStream, Error> {
    let mut code = TokenStream::new();
    for message in &package.messages {
        code.extend(message::message(cx, message)?);
    }
    for enumeration in &package.enums {
        code.extend(enumeration::enumeration(cx, enumeration)?);
    }
    for service in &package.services {
        code.extend(service::service(cx, service, openapi)?);
    }
    if package.messages.iter().all(|message| !message.is_extern) {
        code.extend(register(cx, package)?);
    }
    if let Some(version) = cx.version {
        let kit = &cx.kit;
        code.extend(quote! { const _: () = #kit::codegen::check_version(#version); });
    }
    Ok(code)
}

fn register(cx: &Context, package: &Package) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let types = package.messages.iter().map(|message| tokens(&message.path)).collect::<Result<Vec<_>, _>>()?;
    Ok(quote! {
        /// Lets a `google.protobuf.Any` in JSON hold every message of this package.
        pub fn register(registry: #kit::json::Registry) -> #kit::json::Registry {
            registry #(.with::<#types>())*
        }
    })
}

/// Code that the model holds as text, such as the path of a type.
fn tokens(text: &str) -> Result<TokenStream, Error> {
    text.parse().map_err(|_| Error::new(format!("`{text}` is not Rust: this is a bug in kit-build, please report it")))
}

/// A name that may be written as a raw identifier.
fn ident(text: &str) -> Ident {
    match text.strip_prefix("r#") {
        Some(raw) => Ident::new_raw(raw, Span::call_site()),
        None => Ident::new(text, Span::call_site()),
    }
}

/// A comment as rustdoc, or what to say where there is none.
fn docs(text: &str, otherwise: &str) -> TokenStream {
    let text = if text.trim().is_empty() { format!(" {otherwise}") } else { text.to_owned() };
    let lines = text.lines();
    quote! { #(#[doc = #lines])* }
}
