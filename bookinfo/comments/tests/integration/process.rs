//! The program: its flags, its settings, its start and its end.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use bookcommon::testing::{Process, http};

const SERVER: &str = env!("CARGO_BIN_EXE_bookcomments-server");
const FREE: [(&str, &str); 3] = [
    ("BOOKCOMMENTS_HTTP_ADDR", "127.0.0.1:0"),
    ("BOOKCOMMENTS_GRPC_ADDR", "127.0.0.1:0"),
    ("BOOKCOMMENTS_PID_FILE", "run/pid"),
];

#[test]
fn it_starts_with_nothing_and_stops_at_either_signal() {
    for signal in ["TERM", "INT"] {
        let mut server = Process::start(SERVER, &FREE);
        let (pid, database) = (server.folder().path("run/pid"), server.folder().path("data/comments.db"));
        assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), server.id().to_string());
        assert!(database.exists(), "made at the first start");
        let answer = http(&server.http(), "GET", "/v1/get?id=1", "");
        assert_eq!(answer.body.matches("createdAt").count(), 3, "{}", answer.body);
        server.signal(signal);
        assert_eq!(server.wait(), Some(0));
        server.line("\"stopped\"");
        assert!(!pid.exists());
    }
}

#[test]
fn a_watcher_does_not_hold_up_the_stop() {
    let server = Process::start(SERVER, &FREE);
    let mut watcher = TcpStream::connect(server.http()).unwrap();
    watcher.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    watcher.write_all(b"GET /v1/watch?id=1 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut watcher = BufReader::new(watcher);
    let mut line = String::new();
    watcher.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    assert_eq!(server.stop("TERM"), Some(0));
    // It is told to call again, by a last line and an answer that is broken off.
    while watcher.read_line(&mut line).is_ok_and(|read| read > 0) {}
    assert!(line.contains("the service stops: call again") && !line.ends_with("\r\n0\r\n\r\n"), "{line:?}");
}

#[test]
fn two_processes_can_not_have_one_pid_file() {
    let first = Process::start(SERVER, &FREE);
    let pid = first.folder().path("run/pid");
    let mut env = FREE.to_vec();
    env.push(("BOOKCOMMENTS_PID_FILE", pid.to_str().unwrap()));
    let (code, _, errors) = Process::run(SERVER, &[], &env);
    assert_eq!(code, Some(1), "{errors}");
    let owner = format!("belongs to process {}, which runs", first.id());
    assert!(errors.contains(pid.to_str().unwrap()) && errors.contains(&owner), "{errors}");
    assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), first.id().to_string());
    assert_eq!(http(&first.http(), "GET", "/v1/get?id=1", "").status, 200);

    // One that could not tidy up leaves a file that keeps nobody away.
    let (folder, number) = (first.folder().path(""), first.id());
    first.signal("KILL");
    let mut killed = first;
    assert_eq!(killed.wait(), None);
    assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), number.to_string());
    let mut second = Process::spawn(SERVER, &[], &env);
    let warning = second.line("a stale pid file is overwritten");
    assert!(warning.contains("WARN") && warning.contains(&number.to_string()), "{warning}");
    second.line("\"serving\"");
    assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), second.id().to_string());
    second.signal("TERM");
    assert_eq!(second.wait(), Some(0));
    assert!(!pid.exists() && folder.exists());
}

#[test]
fn a_schema_that_nobody_made_is_told_at_the_start() {
    let mut env = FREE.to_vec();
    env.push(("MIGRATE", "false"));
    let server = Process::spawn(SERVER, &[], &env);
    let warning = server.line("the schema is missing");
    assert!(warning.contains("WARN") && warning.contains("database.migrate: true"), "{warning}");
    assert!(warning.contains("MIGRATE=true"), "{warning}");
    server.line("\"serving\"");
}

#[test]
fn what_is_stored_is_on_record_and_what_it_says_is_not() {
    let server = Process::start(SERVER, &FREE);
    assert_eq!(http(&server.http(), "POST", "/v1/post", r#"{"id":0,"content":"refused"}"#).status, 400);
    assert_eq!(http(&server.http(), "POST", "/v1/post", r#"{"id":4,"content":"between us"}"#).status, 200);
    server.signal("TERM");
    let lines = server.lines_until("\"stopped\"");
    let records: Vec<_> = lines.iter().filter(|line| line.contains("bookcomments::audit")).collect();
    let [record] = records.as_slice() else { panic!("{lines:?}") };
    for field in ["\"book\":4", "\"characters\":10", "\"peer\":\"127.0.0.1\"", "\"request_id\":"] {
        assert!(record.contains(field), "{record}");
    }
    assert!(!lines.iter().any(|line| line.contains("between us")));
}

#[test]
fn a_second_process_on_the_port_says_so_and_exits() {
    let first = Process::start(SERVER, &FREE);
    for (variable, addr) in [("BOOKCOMMENTS_HTTP_ADDR", first.http()), ("BOOKCOMMENTS_GRPC_ADDR", first.grpc())] {
        let mut env = FREE.to_vec();
        env.push((variable, &addr));
        let (code, _, errors) = Process::run(SERVER, &[], &env);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(&addr) && errors.contains("another process"), "{errors}");
    }
    assert_eq!(http(&first.http(), "GET", "/v1/get?id=1", "").status, 200);
}

#[test]
fn settings_are_checked_and_printed_before_anything_starts() {
    let (code, output, _) = Process::run(SERVER, &["--check-config"], &[]);
    assert_eq!((code, output.trim()), (Some(0), "the settings are right"));

    let env = [
        ("RUN_MODE", "container"),
        ("MIGRATE", "true"),
        ("BOOKCOMMENTS_DATABASE_URL", "mysql://root:pa55@db/books"),
        ("BOOKCOMMENTS_WATCH_INTERVAL", "250ms"),
    ];
    let (code, output, _) = Process::run(SERVER, &["--print-config"], &env);
    assert_eq!(code, Some(0));
    let has = |key: &str, value: &str, place: &str| {
        let line = output.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        assert!(line.contains(value) && line.contains(place), "{line}");
    };
    has("http_addr", "0.0.0.0:5011", "config/container.yaml:");
    has("database.url", "mysql://root:***@db/books", "env BOOKCOMMENTS_DATABASE_URL");
    has("database.migrate", "true", "env MIGRATE");
    has("watch.interval", "250ms", "env BOOKCOMMENTS_WATCH_INTERVAL");
    has("database.max_connections", "10", "default");
    assert!(!output.contains("pa55"));
}

#[test]
fn wrong_settings_are_told_with_file_line_and_key() {
    let folder = kit::sql::testing::Folder::new();
    std::fs::create_dir_all(folder.path("")).unwrap();
    let file = folder.path("wrong.yaml");
    std::fs::write(&file, "http_addr: nowhere\ndatabase:\n  url: books\n  max_conections: 3\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, errors) = Process::run(SERVER, &["--config", file], &[]);
    assert_eq!(code, Some(1));
    for expected in [format!("{file}:1:12: http_addr: "), format!("{file}:4:3: database.max_conections: ")] {
        assert!(errors.contains(&expected), "{errors}");
    }
    std::fs::write(file, "database:\n  url: books\nwatch:\n  interval: 0s\n").unwrap();
    let (_, _, errors) = Process::run(SERVER, &["--check-config", "--config", file], &[]);
    for expected in [format!("{file}:2:3: database.url: "), format!("{file}:4:3: watch.interval: ")] {
        assert!(errors.contains(&expected), "{errors}");
    }
    let (_, _, errors) = Process::run(SERVER, &[], &[("BOOKCOMMENTS_HTTP_ADRR", "127.0.0.1:1")]);
    assert!(errors.contains("BOOKCOMMENTS_HTTP_ADRR") && errors.contains("did you mean"), "{errors}");
}

#[test]
fn a_wrong_command_line_is_an_error_of_its_own() {
    let (code, _, errors) = Process::run(SERVER, &["--conifg", "x"], &[]);
    assert!(code == Some(2) && errors.contains("--config"), "{errors}");
    let (code, output, _) = Process::run(SERVER, &["--help"], &[]);
    assert!(code == Some(0) && output.contains("BOOKCOMMENTS_DATABASE_URL") && output.contains("MIGRATE"), "{output}");
    assert_eq!(Process::run(SERVER, &["--version"], &[]).0, Some(0));
}
