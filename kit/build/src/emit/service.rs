//! The trait, the endpoints, the client and the statics of a service.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{Context, docs, ident, tokens};
use crate::{
    error::Error,
    model::{Idempotency, Method, Service},
    rule::{Rule, RuleBody},
};

/// The names of a service's generated items.
struct Names {
    service: Ident,
    endpoints: Ident,
    client: Ident,
    info: Ident,
}

/// A method's parts, ready to be put into code.
struct Parts<'a> {
    method: &'a Method,
    ident: Ident,
    constant: Ident,
    /// The private static behind `constant`; two underscores begin no name that is made from a proto.
    info: Ident,
    input: TokenStream,
    output: TokenStream,
    /// The method of `Connect` and `VisitEndpoints`.
    kind: Ident,
}

pub(super) fn service(cx: &Context, service: &Service, openapi: &str) -> Result<TokenStream, Error> {
    let names = Names {
        service: ident(&service.ident),
        endpoints: format_ident!("{}Endpoints", service.ident),
        client: format_ident!("{}Client", service.ident),
        info: ident(&service.constant),
    };
    let methods = service.methods.iter().map(|method| parts(cx, method)).collect::<Result<Vec<_>, _>>()?;
    let mut code = the_trait(cx, service, &names, &methods);
    code.extend(endpoints(cx, service, &names, &methods));
    code.extend(client(cx, service, &names, &methods));
    code.extend(statics(cx, service, &names, &methods, openapi));
    Ok(code)
}

fn parts<'a>(cx: &Context, method: &'a Method) -> Result<Parts<'a>, Error> {
    let kit = &cx.kit;
    let payload = |path: &str, streams: bool| {
        let path = tokens(path)?;
        Ok::<_, Error>(if streams { quote!(#kit::Streaming<#path>) } else { path })
    };
    let kind = match (method.client_streams, method.server_streams) {
        (false, false) => "unary",
        (true, false) => "client_streaming",
        (false, true) => "server_streaming",
        (true, true) => "bidi_streaming",
    };
    Ok(Parts {
        method,
        ident: ident(&method.ident),
        constant: ident(&method.constant),
        info: format_ident!("__{}", method.constant),
        input: payload(&method.input, method.client_streams)?,
        output: payload(&method.output, method.server_streams)?,
        kind: ident(kind),
    })
}

fn deprecated(is_deprecated: bool) -> TokenStream {
    if is_deprecated { quote!(#[deprecated]) } else { TokenStream::new() }
}

fn the_trait(cx: &Context, service: &Service, names: &Names, methods: &[Parts<'_>]) -> TokenStream {
    let kit = &cx.kit;
    let docs_of_trait = docs(&service.docs, &format!("The service `{}`.", service.full_name));
    let deprecated_trait = deprecated(service.deprecated);
    let name = &names.service;
    let functions = methods.iter().map(|parts| {
        let Parts { method, ident, input, output, .. } = parts;
        let docs = docs(&method.docs, &format!("The method `{}`.", method.name));
        let deprecated = deprecated(method.deprecated);
        quote! {
            #docs
            #deprecated
            fn #ident(
                &self,
                cx: &#kit::Context,
                request: #input,
            ) -> impl ::core::future::Future<Output = ::core::result::Result<#output, #kit::Error>> + ::core::marker::Send;
        }
    });
    let through_arc = forward(cx, methods, |parts| {
        let ident = &parts.ident;
        quote!(<T as #name>::#ident(self, cx, request).await)
    });
    quote! {
        #docs_of_trait
        #deprecated_trait
        pub trait #name: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#functions)*
        }

        impl<T: #name + ?Sized> #name for ::std::sync::Arc<T> {
            #through_arc
        }
    }
}

/// Every function of the trait, doing what `call` says.
fn forward(cx: &Context, methods: &[Parts<'_>], call: impl Fn(&Parts<'_>) -> TokenStream) -> TokenStream {
    let kit = &cx.kit;
    let functions = methods.iter().map(|parts| {
        let Parts { ident, input, output, .. } = parts;
        let call = call(parts);
        quote! {
            async fn #ident(
                &self,
                cx: &#kit::Context,
                request: #input,
            ) -> ::core::result::Result<#output, #kit::Error> {
                #call
            }
        }
    });
    quote!(#(#functions)*)
}

fn endpoints(cx: &Context, service: &Service, names: &Names, methods: &[Parts<'_>]) -> TokenStream {
    let kit = &cx.kit;
    let Names { service: name, endpoints, info, .. } = names;
    let docs_of_struct = format!(
        " The endpoints of [`{}`]: one for each method, with the middleware around it.\n\n They are the service themselves, \
         be it here, elsewhere or a test double.",
        service.ident
    );
    let docs_of_struct = docs(&docs_of_struct, "");
    let idents: Vec<_> = methods.iter().map(|parts| &parts.ident).collect();
    let kinds: Vec<_> = methods.iter().map(|parts| &parts.kind).collect();
    let constants: Vec<_> = methods.iter().map(|parts| &parts.constant).collect();
    let fields = methods.iter().map(|parts| {
        let Parts { method, ident, input, output, .. } = parts;
        let docs = docs(&method.docs, &format!("The method `{}`.", method.name));
        quote! { #docs pub #ident: #kit::Endpoint<#input, #output> }
    });
    let handlers = methods.iter().map(|parts| handler(cx, names, parts));
    let layer = layer(cx, methods);
    let (service_arg, middleware_arg, visitor_arg, connect_arg) = if methods.is_empty() {
        (quote!(_service), quote!(_middleware), quote!(_visitor), quote!(_connect))
    } else {
        (quote!(service), quote!(middleware), quote!(visitor), quote!(connect))
    };
    let shared = if methods.is_empty() {
        TokenStream::new()
    } else {
        quote! { let service = ::std::sync::Arc::new(service); }
    };
    let through = forward(cx, methods, |parts| {
        let ident = &parts.ident;
        quote!(self.#ident.call_next(cx, request).await)
    });
    quote! {
        #docs_of_struct
        #[derive(Clone, Debug)]
        pub struct #endpoints {
            #(#fields,)*
        }

        impl #endpoints {
            /// Endpoints that call `service`, with nothing around them yet.
            pub fn new(#service_arg: impl #name) -> Self {
                #shared
                Self { #(#idents: #handlers,)* }
            }

            /// Puts a middleware around every method.
            #[must_use]
            pub fn with(self, #middleware_arg: &impl #kit::Middleware) -> Self {
                Self { #(#idents: self.#idents.with(middleware),)* }
            }

            #layer
        }

        impl #kit::Endpoints for #endpoints {
            const SERVICE: &'static #kit::ServiceInfo = &#info;

            fn visit<V: #kit::VisitEndpoints>(&self, #visitor_arg: &mut V) {
                #(visitor.#kinds(&self.#idents);)*
            }

            fn connect<C: #kit::Connect>(#connect_arg: &C) -> Self {
                Self { #(#idents: connect.#kinds(&#constants),)* }
            }
        }

        impl #name for #endpoints {
            #through
        }
    }
}

fn handler(cx: &Context, names: &Names, parts: &Parts<'_>) -> TokenStream {
    let kit = &cx.kit;
    let name = &names.service;
    let Parts { ident, constant, input, .. } = parts;
    // Every clone is spelled out, because an rpc may be called Clone.
    quote! {
        #kit::Endpoint::from_fn(::core::clone::Clone::clone(&#constant), {
            let service = ::core::clone::Clone::clone(&service);
            move |cx: #kit::Context, request: #input| {
                let service = ::core::clone::Clone::clone(&service);
                async move { #name::#ident(&*service, &cx, request).await }
            }
        })
    }
}

fn layer(cx: &Context, methods: &[Parts<'_>]) -> TokenStream {
    let kit = &cx.kit;
    let mut seen = Vec::new();
    let mut bounds = Vec::new();
    for Parts { input, output, .. } in methods {
        let endpoint = quote!(#kit::Endpoint<#input, #output>);
        let text = endpoint.to_string();
        if !seen.contains(&text) {
            seen.push(text);
            bounds.push(quote! {
                L: #kit::codegen::tower::Layer<#endpoint>,
                <L as #kit::codegen::tower::Layer<#endpoint>>::Service: #kit::EndpointService<#input, #output>,
            });
        }
    }
    let idents = methods.iter().map(|parts| &parts.ident);
    let layer = if methods.is_empty() { quote!(_layer) } else { quote!(layer) };
    quote! {
        /// Puts a Tower layer around every method: it must fit the messages of each.
        #[must_use]
        pub fn layer<L>(self, #layer: L) -> Self
        where
            #(#bounds)*
        {
            Self { #(#idents: self.#idents.layer(&layer),)* }
        }
    }
}

fn client(cx: &Context, service: &Service, names: &Names, methods: &[Parts<'_>]) -> TokenStream {
    let kit = &cx.kit;
    let Names { service: name, endpoints, client, .. } = names;
    let docs_of_struct = docs(
        &format!(
            " A client of [`{}`], which it implements: a service somewhere else is called like one that is here.",
            service.ident
        ),
        "",
    );
    let through = forward(cx, methods, |parts| {
        let ident = &parts.ident;
        quote!(self.endpoints.#ident.call_next(cx, request).await)
    });
    quote! {
        #docs_of_struct
        #[derive(Clone, Debug)]
        pub struct #client {
            endpoints: #endpoints,
        }

        impl #client {
            /// A client that calls through `connect`.
            pub fn new(connect: &impl #kit::Connect) -> Self {
                Self { endpoints: <#endpoints as #kit::Endpoints>::connect(connect) }
            }

            /// The endpoints that it calls.
            pub fn endpoints(&self) -> &#endpoints {
                &self.endpoints
            }

            /// Puts a middleware around every method.
            #[must_use]
            pub fn with(self, middleware: &impl #kit::Middleware) -> Self {
                Self { endpoints: #endpoints::with(self.endpoints, middleware) }
            }
        }

        impl #name for #client {
            #through
        }
    }
}

fn statics(cx: &Context, service: &Service, names: &Names, methods: &[Parts<'_>], openapi: &str) -> TokenStream {
    let kit = &cx.kit;
    let version = cx.version.unwrap_or_default();
    let info = &names.info;
    let service_name = &service.full_name;
    let each = methods.iter().map(|parts| {
        let Parts { method, constant, info, .. } = parts;
        let name = &method.name;
        let path = format!("/{service_name}/{name}");
        let kind = ident(match (method.client_streams, method.server_streams) {
            (false, false) => "Unary",
            (true, false) => "ClientStreaming",
            (false, true) => "ServerStreaming",
            (true, true) => "BidiStreaming",
        });
        let idempotency = ident(match method.idempotency {
            Idempotency::Unknown => "Unknown",
            Idempotency::NoSideEffects => "NoSideEffects",
            Idempotency::Idempotent => "Idempotent",
        });
        let rules = method.rules.iter().map(|rule| http_rule(cx, rule));
        let docs = docs(&format!(" What `{service_name}/{name}` tells of itself."), "");
        quote! {
            #docs
            pub static #constant: #kit::Method = #kit::Method::from_static(&#info);

            static #info: #kit::MethodInfo = #kit::MethodInfo {
                service: ::std::borrow::Cow::Borrowed(#service_name),
                name: ::std::borrow::Cow::Borrowed(#name),
                path: ::std::borrow::Cow::Borrowed(#path),
                kind: #kit::MethodKind::#kind,
                idempotency: #kit::Idempotency::#idempotency,
                http: ::std::borrow::Cow::Borrowed(&[#(#rules),*]),
            };
        }
    });
    let infos = methods.iter().map(|parts| &parts.info);
    let docs = docs(&format!(" What `{service_name}` tells of itself."), "");
    quote! {
        #docs
        pub static #info: #kit::ServiceInfo = #kit::ServiceInfo {
            name: #service_name,
            methods: &[#(#kit::Method::from_static(&#infos)),*],
            descriptors: ::core::include_bytes!("descriptors.bin"),
            openapi: ::core::include_str!(#openapi),
            register,
            kit_version: #version,
        };

        #(#each)*
    }
}

fn http_rule(cx: &Context, rule: &Rule) -> TokenStream {
    let kit = &cx.kit;
    let method = &rule.http_method;
    let template = rule.template.to_string();
    let text = |text: &Option<String>| match text {
        Some(text) => quote!(::core::option::Option::Some(::std::borrow::Cow::Borrowed(#text))),
        None => quote!(::core::option::Option::None),
    };
    let body = match &rule.body {
        RuleBody::None => quote!(#kit::RuleBody::None),
        RuleBody::All => quote!(#kit::RuleBody::All),
        RuleBody::Field(name) => quote!(#kit::RuleBody::Field(::std::borrow::Cow::Borrowed(#name))),
    };
    let (response_body, field_mask) = (text(&rule.response_body), text(&rule.field_mask));
    quote! {
        #kit::HttpRule {
            method: ::std::borrow::Cow::Borrowed(#method),
            template: ::std::borrow::Cow::Borrowed(#template),
            body: #body,
            response_body: #response_body,
            field_mask: #field_mask,
        }
    }
}
