use kit::{Context, Error, Streaming};

use super::note;
use crate::proto::press::{Blob, GetRequest, Note, Press, TailRequest};

/// The service in the kit's way. Its peers do just that, too.
#[derive(Clone, Debug)]
pub(super) struct Editor {
    pub(super) note: Note,
}

impl Editor {
    pub(super) fn new() -> Self {
        Self { note: note() }
    }
}

impl Press for Editor {
    async fn echo(&self, _: &Context, note: Note) -> Result<Note, Error> {
        Ok(note)
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<Note, Error> {
        Ok(Note { id: request.id, ..self.note.clone() })
    }

    async fn copy(&self, _: &Context, blob: Blob) -> Result<Blob, Error> {
        Ok(blob)
    }

    async fn tail(&self, _: &Context, request: TailRequest) -> Result<Streaming<Note>, Error> {
        let note = self.note.clone();
        Ok(Streaming::from_iter((0..request.notes).map(move |_| note.clone())))
    }
}
