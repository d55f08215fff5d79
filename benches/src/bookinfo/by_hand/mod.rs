//! The two services as somebody writes them who has tonic, sqlx and an afternoon.

pub mod comments;
pub mod details;

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::net::TcpListener;
use tonic::{Status, transport::server::TcpIncoming};

use crate::Failure;

/// What tonic's code generator makes of the `.proto` files of the demo.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
pub mod proto {
    pub mod comments {
        include!(concat!(env!("OUT_DIR"), "/bookinfo/comments.rs"));
    }
    pub mod details {
        include!(concat!(env!("OUT_DIR"), "/bookinfo/details.rs"));
    }
}

/// As the kit's pools are by default.
const CONNECTIONS: u32 = 10;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a database that the demo has made.
async fn open(url: &str) -> Result<SqlitePool, Failure> {
    let options = SqliteConnectOptions::from_str(url)?.busy_timeout(BUSY_TIMEOUT).synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    Ok(pool.connect_with(options).await?)
}

/// A port, and the line that says where it is: as the programs of the demo say it.
async fn listen() -> Result<TcpIncoming, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{{\"message\":\"serving\",\"grpc\":\"{}\"}}", listener.local_addr()?);
    Ok(TcpIncoming::from(listener).with_nodelay(Some(true)))
}

fn check(id: i64) -> Result<(), Status> {
    if id > 0 { Ok(()) } else { Err(Status::invalid_argument(format!("id: is {id}, must be 1 or greater"))) }
}

fn failed(error: sqlx::Error) -> Status {
    match error {
        sqlx::Error::PoolTimedOut => Status::unavailable("the database is busy"),
        _ => Status::internal("internal error"),
    }
}
