//! tonic's codec with buffers of the size that messages have.

use std::marker::PhantomData;

use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// What a buffer has at first. Most messages fit; a longer one makes it grow once, to the size of the message. tonic's own
/// default takes 8 KiB a direction and a call.
pub(super) const BUFFER: usize = 512;

/// How much of a stream whose messages are all ready is put into one piece: tonic's default.
pub(super) const PIECE: usize = 32 * 1024;

/// A codec that encodes `N` and decodes `M`.
pub(super) struct ProstCodec<N, M>(PhantomData<(N, M)>);

impl<N, M> Default for ProstCodec<N, M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<N, M> Codec for ProstCodec<N, M>
where
    N: prost::Message + Send + 'static,
    M: prost::Message + Default + Send + 'static,
{
    type Encode = N;
    type Decode = M;
    type Encoder = ProstEncoder<N>;
    type Decoder = ProstDecoder<M>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER, PIECE))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, PIECE))
    }
}
