use super::{Endpoint, Method, Streaming};
use crate::Message;

/// What a service tells of itself; generated.
#[derive(Debug)]
pub struct ServiceInfo {
    /// The full name: `details.BookDetails`.
    pub name: &'static str,
    /// The methods in the order of declaration.
    pub methods: &'static [Method],
    /// The compiled `.proto` files, comments included: a `google.protobuf.FileDescriptorSet`.
    pub descriptors: &'static [u8],
    /// The OpenAPI document of the file's services.
    pub openapi: &'static str,
    /// Makes the messages of the service's package known to the JSON of `google.protobuf.Any`.
    pub register: fn(crate::json::Registry) -> crate::json::Registry,
    /// The version of the kit that the code was generated for.
    pub kit_version: &'static str,
}

/// All endpoints of a service. Generated: `BookDetailsEndpoints` for the service `BookDetails`.
///
/// This is what servers, clients and the command line work on, so that each exists once and no generated code knows them.
pub trait Endpoints: Clone + Send + Sync + 'static {
    /// What the service tells of itself.
    const SERVICE: &'static ServiceInfo;

    /// Shows every endpoint to `visitor`, in the order of declaration.
    fn visit<V: VisitEndpoints>(&self, visitor: &mut V);

    /// Makes every endpoint by `connect`: a client.
    fn connect<C: Connect>(connect: &C) -> Self;
}

/// Reads the endpoints of a service, one call a method.
pub trait VisitEndpoints {
    /// One message, one answer.
    fn unary<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Res>);
    /// Many messages, one answer.
    fn client_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Res>);
    /// One message, many answers.
    fn server_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Req, Streaming<Res>>);
    /// Many messages, many answers.
    fn bidi_streaming<Req: Message, Res: Message>(&mut self, endpoint: &Endpoint<Streaming<Req>, Streaming<Res>>);
}

/// Makes endpoints that call a service somewhere else.
pub trait Connect {
    /// One message, one answer.
    fn unary<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Res>;
    /// Many messages, one answer.
    fn client_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Res>;
    /// One message, many answers.
    fn server_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Req, Streaming<Res>>;
    /// Many messages, many answers.
    fn bidi_streaming<Req: Message, Res: Message>(&self, method: &Method) -> Endpoint<Streaming<Req>, Streaming<Res>>;
}
