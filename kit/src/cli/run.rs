//! One call from the command line.

use std::{future::Future, pin::Pin};

use clap::ArgMatches;

use super::{Failure, describe::kebab, input, output};
use crate::{Context, Endpoint, Message, Payload, Request, Response, Streaming, VisitEndpoints};

/// A call that runs.
pub(super) type CallResult = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// Finds the endpoint that a subcommand names, and calls it.
pub(super) struct Run<'a> {
    method: &'a str,
    flags: &'a ArgMatches,
    cx: Context,
    verbose: bool,
    call: Option<CallResult>,
}

impl<'a> Run<'a> {
    pub(super) fn new(method: &'a str, flags: &'a ArgMatches, cx: Context, verbose: bool) -> Self {
        Self { method, flags, cx, verbose, call: None }
    }

    pub(super) fn finish(self) -> Option<CallResult> {
        self.call
    }

    fn call<Req, Res, Fut>(
        &mut self,
        endpoint: &Endpoint<Req, Res>,
        request: impl FnOnce(&ArgMatches) -> Result<Req, Failure>,
        print: impl FnOnce(Res) -> Fut + 'static,
    ) where
        Req: Payload,
        Res: Payload,
        Fut: Future<Output = Result<(), Failure>> + 'static,
    {
        if kebab(&endpoint.method().name) != self.method {
            return;
        }
        let message = request(self.flags);
        let (endpoint, cx, verbose) = (endpoint.clone(), self.cx.next(endpoint.method()), self.verbose);
        self.call = Some(Box::pin(async move {
            let response: Response<Res> = endpoint.call(Request::new(cx, message?)).await?;
            let (metadata, message) = response.into_parts();
            if verbose {
                output::metadata(&metadata);
            }
            print(message).await
        }));
    }
}

async fn one<M: Message>(message: M) -> Result<(), Failure> {
    output::answer(&message, false)
}

async fn many<M: Message>(mut stream: Streaming<M>) -> Result<(), Failure> {
    while let Some(message) = stream.message().await? {
        output::answer(&message, true)?;
    }
    Ok(())
}

impl VisitEndpoints for Run<'_> {
    fn unary<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Res>) {
        self.call(endpoint, input::one, one);
    }
    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>) {
        self.call(endpoint, input::many, one);
    }
    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>) {
        self.call(endpoint, input::one, many);
    }
    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>) {
        self.call(endpoint, input::many, many);
    }
}
