//! Messages written as JSON: the server's reflection, or a file of descriptors, says what they are in bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::Path,
    time::Duration,
};

use prost_reflect::{
    DescriptorPool, DynamicMessage, MethodDescriptor, prost::Message as _, prost_types::FileDescriptorProto,
};
use tokio::time::timeout;
use tonic::{
    Code, Status,
    codegen::tokio_stream,
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::{v1, v1alpha};

use super::target::Target;

/// What a service of hundreds of files needs, and no more.
const MOST_FILES: usize = 2_000;

/// The message of the calls, and whether it is answered with a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) message: Vec<u8>,
    pub(super) server_stream: bool,
}

/// Translates a message; without a file, by asking the server.
pub(super) async fn translate(
    target: &Target,
    json: &str,
    descriptors: Option<&Path>,
    patience: Duration,
) -> Result<Translated, String> {
    let (service, method) = target.path.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    let pool = match descriptors {
        Some(file) => {
            let cannot = |why: &dyn Display| format!("cannot read {}: {why}", file.display());
            let bytes = tokio::fs::read(file).await.map_err(|error| cannot(&error))?;
            DescriptorPool::decode(bytes.as_slice()).map_err(|error| cannot(&error))?
        }
        None => match timeout(patience, ask(target, service)).await {
            Ok(pool) => pool?,
            Err(_) => return Err(format!("{} does not answer when asked for its reflection", target.authority)),
        },
    };
    let known = pool.get_service_by_name(service).ok_or_else(|| {
        let names: Vec<_> = pool.services().map(|service| service.full_name().to_owned()).collect();
        format!("there is no service `{service}`; there is {}", names.join(", "))
    })?;
    let found = known.methods().find(|known| known.name() == method).ok_or_else(|| {
        let names: Vec<_> = known.methods().map(|method| method.name().to_owned()).collect();
        format!("{service} has no method `{method}`; it has {}", names.join(", "))
    })?;
    encode(&found, json)
}

fn encode(method: &MethodDescriptor, json: &str) -> Result<Translated, String> {
    if method.is_client_streaming() {
        return Err(format!("{} takes a stream of messages: kit load sends one", method.full_name()));
    }
    let input = method.input();
    let name = input.full_name().to_owned();
    let mut reader = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(input, &mut reader)
        .and_then(|message| reader.end().map(|()| message))
        .map_err(|error| format!("--data is no {name}: {error}"))?;
    Ok(Translated { message: message.encode_to_vec(), server_stream: method.is_server_streaming() })
}

/// All files that a service needs, as the server tells them.
async fn ask(target: &Target, service: &str) -> Result<DescriptorPool, String> {
    let endpoint = Endpoint::try_from(format!("http://{}", target.authority)).map_err(|error| error.to_string())?;
    let cannot = |error| format!("cannot connect to {}: {}", target.authority, crate::health::causes(&error));
    let channel = endpoint.connect().await.map_err(cannot)?;
    let told = |status: Status| match status.code() {
        Code::Unimplemented => format!(
            "{} has no reflection: give the message by --data-hex, or a file of descriptors by --descriptors",
            target.authority
        ),
        Code::NotFound => format!("{} knows no service `{service}`", target.authority),
        code => format!("the reflection of {} fails: {code:?}: {}", target.authority, status.message()),
    };

    let mut asked = BTreeSet::new();
    let mut wanted = vec![Question::Service(service.to_owned())];
    let mut files = BTreeMap::new();
    while let Some(question) = wanted.pop() {
        for bytes in question.ask(&channel).await.map_err(told)? {
            let file = FileDescriptorProto::decode(bytes.as_slice())
                .map_err(|error| format!("{} describes itself wrongly: {error}", target.authority))?;
            for import in &file.dependency {
                if asked.insert(import.clone()) {
                    wanted.push(Question::File(import.clone()));
                }
            }
            files.insert(file.name().to_owned(), file);
        }
        // Servers that tell all at once have told them already.
        wanted.retain(|question| !matches!(question, Question::File(name) if files.contains_key(name)));
        if files.len() > MOST_FILES {
            return Err(format!("{} describes itself in more than {MOST_FILES} files", target.authority));
        }
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(files.into_values())
        .map_err(|error| format!("{} describes itself wrongly: {error}", target.authority))?;
    Ok(pool)
}

enum Question {
    Service(String),
    File(String),
}

/// One question in one version of the protocol: they differ in their names only.
macro_rules! ask {
    ($version:ident, $channel:expr, $question:expr) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };

        let question = match $question {
            Question::Service(name) => MessageRequest::FileContainingSymbol(name.clone()),
            Question::File(name) => MessageRequest::FileByFilename(name.clone()),
        };
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut client = ServerReflectionClient::new($channel.clone());
        let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
        match answers.message().await?.and_then(|answer| answer.message_response) {
            Some(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
            Some(MessageResponse::ErrorResponse(error)) => {
                Err(Status::new(Code::from(error.error_code), error.error_message))
            }
            _ => Err(Status::internal("no answer to the question")),
        }
    }};
}

impl Question {
    async fn ask(&self, channel: &Channel) -> Result<Vec<Vec<u8>>, Status> {
        match self.ask_v1(channel).await {
            // Older servers know the protocol by its older name only.
            Err(status) if status.code() == Code::Unimplemented => self.ask_v1alpha(channel).await,
            answer => answer,
        }
    }

    async fn ask_v1(&self, channel: &Channel) -> Result<Vec<Vec<u8>>, Status> {
        ask!(v1, channel, self)
    }

    async fn ask_v1alpha(&self, channel: &Channel) -> Result<Vec<Vec<u8>>, Status> {
        ask!(v1alpha, channel, self)
    }
}
