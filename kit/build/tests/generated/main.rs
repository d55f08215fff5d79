//! The golden files compile, without a warning even where a crate is strict, and do what they say.
#![deny(warnings, missing_docs, unreachable_pub, unused, rust_2018_idioms, clippy::all)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod calls;
mod json;

/// The two services of BookInfo.
pub mod bookinfo {
    include!("../golden/bookinfo/protos.rs");
}

/// Every kind of rule: the code that the kit's examples run on.
pub mod echo {
    include!("../../../examples/generated/echo/protos.rs");
}

/// Everything that can be in a file.
pub mod everything {
    include!("../golden/everything/protos.rs");
}
