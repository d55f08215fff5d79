//! `impl Message` and serde's traits for a message.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Context, ident, tokens};
use crate::{
    error::Error,
    model::{Codec, Field, Message, Shape},
};

pub(super) fn message(cx: &Context, message: &Message) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let name = &message.full_name;
    let path = tokens(&message.path)?;
    let mut shown = Vec::new();
    let mut changed = Vec::new();
    for (index, field) in message.fields.iter().enumerate() {
        let constant = constant(cx, index, field)?;
        shown.push(show(cx, field, &constant)?);
        changed.push(change(cx, field, &constant)?);
    }
    let visitor = if message.fields.is_empty() { quote!(_visitor) } else { quote!(visitor) };
    let rules = match &message.rules {
        Some(rules) => super::rules::rules(cx, &message.fields, rules)?,
        None => TokenStream::new(),
    };
    let serde = if message.is_extern { TokenStream::new() } else { serde(cx, &path) };
    Ok(quote! {
        impl #kit::Message for #path {
            const NAME: &'static str = #name;

            fn visit<V: #kit::message::Visit>(
                &self,
                #visitor: &mut V,
            ) -> ::core::result::Result<(), V::Error> {
                #(#shown)*
                ::core::result::Result::Ok(())
            }

            fn visit_field<V: #kit::message::VisitField>(
                &mut self,
                name: &str,
                visitor: V,
            ) -> ::core::result::Result<V::Output, V::Error> {
                match name {
                    #(#changed)*
                    _ => visitor.unknown(name),
                }
            }

            #rules
        }
        #serde
    })
}

fn constant(cx: &Context, index: usize, field: &Field) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let Field { name, json_name, .. } = field;
    let index = u16::try_from(index)
        .map_err(|_| Error::new(format!("`{name}` is the field number {index} of its message: 65536 are the most")))?;
    let index = proc_macro2::Literal::u16_unsuffixed(index);
    Ok(quote! { &#kit::message::Field::new(#index, #name, #json_name) })
}

fn show(cx: &Context, field: &Field, constant: &TokenStream) -> Result<TokenStream, Error> {
    let ident = ident(&field.ident);
    Ok(match &field.shape {
        Shape::Singular(value) => {
            let codec = codec(cx, value)?;
            quote! { visitor.singular::<#codec>(#constant, &self.#ident)?; }
        }
        Shape::Optional(value) => {
            let codec = codec(cx, value)?;
            quote! { visitor.optional::<#codec>(#constant, &self.#ident)?; }
        }
        Shape::Repeated(value) => {
            let codec = codec(cx, value)?;
            quote! { visitor.repeated::<#codec>(#constant, &self.#ident)?; }
        }
        Shape::Map(key, value) => {
            let (key, value) = (codec(cx, key)?, codec(cx, value)?);
            quote! { visitor.map::<#key, #value>(#constant, &self.#ident)?; }
        }
        Shape::Member { codec: value, variant, .. } => {
            let (codec, variant) = (codec(cx, value)?, tokens(variant)?);
            quote! {
                if let ::core::option::Option::Some(#variant(value)) = &self.#ident {
                    visitor.member::<#codec>(#constant, value)?;
                }
            }
        }
    })
}

fn change(cx: &Context, field: &Field, constant: &TokenStream) -> Result<TokenStream, Error> {
    let patterns = &field.patterns;
    let ident = ident(&field.ident);
    let call = match &field.shape {
        Shape::Singular(value) => {
            let codec = codec(cx, value)?;
            quote! { visitor.singular::<#codec>(#constant, &mut self.#ident) }
        }
        Shape::Optional(value) => {
            let codec = codec(cx, value)?;
            quote! { visitor.optional::<#codec>(#constant, &mut self.#ident) }
        }
        Shape::Repeated(value) => {
            let codec = codec(cx, value)?;
            quote! { visitor.repeated::<#codec>(#constant, &mut self.#ident) }
        }
        Shape::Map(key, value) => {
            let (key, value) = (codec(cx, key)?, codec(cx, value)?);
            quote! { visitor.map::<#key, #value>(#constant, &mut self.#ident) }
        }
        Shape::Member { codec: value, variant, alone } => {
            let (codec, variant) = (codec(cx, value)?, tokens(variant)?);
            let otherwise = if *alone { TokenStream::new() } else { quote!(_ => ::core::option::Option::None,) };
            quote! {
                visitor.member::<#codec, _>(#constant, &mut self.#ident, #variant, |oneof| match oneof {
                    #variant(value) => ::core::option::Option::Some(value),
                    #otherwise
                })
            }
        }
    };
    Ok(quote! { #(#patterns)|* => #call, })
}

fn codec(cx: &Context, codec: &Codec) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    Ok(match codec {
        Codec::Scalar(name) => {
            let name = ident(name);
            quote! { #kit::message::#name }
        }
        Codec::Enumeration(path) => {
            let path = tokens(path)?;
            quote! { #kit::message::Enumeration<#path> }
        }
        Codec::Nested(path) => {
            let path = tokens(path)?;
            quote! { #kit::message::Nested<#path> }
        }
        Codec::Boxed(path) => {
            let path = tokens(path)?;
            quote! { #kit::message::Boxed<#path> }
        }
    })
}

fn serde(cx: &Context, path: &TokenStream) -> TokenStream {
    let kit = &cx.kit;
    quote! {
        impl #kit::codegen::serde::Serialize for #path {
            fn serialize<S: #kit::codegen::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                #kit::json::serialize(self, serializer)
            }
        }

        impl<'de> #kit::codegen::serde::Deserialize<'de> for #path {
            fn deserialize<D: #kit::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                #kit::json::deserialize(deserializer)
            }
        }
    }
}
