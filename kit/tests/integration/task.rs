//! Background tasks of a handler.

use kit::{Context, RequestId, client::Channel, middleware::StandardStack, server::Server, task::Tasks};

use crate::{
    chat::proto::chat::{Chat, ChatClient},
    support::{Log, Running, line, saying, soon},
};

#[tokio::test]
async fn a_task_that_a_call_leaves_behind_logs_as_part_of_it_and_is_waited_for() {
    let log = Log::start();
    let tasks = Tasks::new();
    let (spawner, (finish, finished)) = (tasks.clone(), tokio::sync::watch::channel(false));
    let endpoints = saying(move |cx, said| {
        let (tasks, mut finished) = (spawner.clone(), finished.clone());
        async move {
            tasks.spawn("mail", &cx, async move {
                finished.wait_for(|done| *done).await.unwrap();
                tracing::info!("mail is sent");
            })?;
            tasks.spawn("clumsy", &cx, async { panic!("dropped it") })?;
            Ok(said)
        }
    });
    let server = Server::new().service(&endpoints.with(&StandardStack::default())).tasks(&tasks);
    let mut server = Running::start(server).await;
    let id = "a-task-of-a-call";
    let cx = Context::background().with_request_id(RequestId::parse(id).unwrap());
    let client = ChatClient::new(&Channel::new(&server.grpc_url()).unwrap());
    assert_eq!(client.say(&cx, line("a")).await.unwrap().text, "a", "the panic is not that of the call");
    server.stop();
    // The call is answered, the server stops, and the task still runs.
    assert_eq!(tasks.figures().iter().find(|of| of.name == "mail").unwrap().running, 1);
    finish.send(true).unwrap();
    soon(server.stopped()).await.unwrap();

    let lines = log.of(id);
    let of = |message: &str| lines.iter().find(|line| line["message"].as_str().unwrap_or_default().contains(message));
    assert_eq!(of("mail is sent").unwrap()["method"], "chat.Chat/Say");
    let panic = of("the background task \"clumsy\" panicked").unwrap();
    assert_eq!((&panic["level"], &panic["panic"]), (&"ERROR".into(), &"dropped it".into()), "{panic}");
    assert!(panic["place"].as_str().unwrap().contains("task.rs"), "{panic}");
    let figures = tasks.figures();
    assert_eq!(figures.iter().map(|of| (of.finished, of.panicked)).collect::<Vec<_>>(), [(0, 1), (1, 0)]);
}
