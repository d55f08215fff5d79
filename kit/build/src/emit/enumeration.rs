//! `impl Enum` for an enum.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Context, tokens};
use crate::{error::Error, model::Enum};

pub(super) fn enumeration(cx: &Context, enumeration: &Enum) -> Result<TokenStream, Error> {
    let kit = &cx.kit;
    let name = &enumeration.full_name;
    let path = tokens(&enumeration.path)?;
    let values = enumeration.values.iter().map(|(name, number)| {
        let number = proc_macro2::Literal::i32_unsuffixed(*number);
        quote! { (#name, #number) }
    });
    Ok(quote! {
        impl #kit::message::Enum for #path {
            const NAME: &'static str = #name;
            const VALUES: &'static [(&'static str, i32)] = &[#(#values),*];
        }
    })
}
