//! The program of the quick start.

use bookcommon::testing::{Process, http};

use crate::support::FREE;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bookinfo");

#[test]
fn it_says_what_to_try_and_that_works() {
    for signal in ["INT", "TERM"] {
        let mut program = Process::spawn(PROGRAM, &["--data-dir", "books"], &FREE);
        let lines = program.lines_until("v1/watch");
        let asked: Vec<&str> = lines.iter().filter_map(|line| line.trim().strip_prefix("curl '")).collect();
        let [detail, get] = asked.as_slice() else { panic!("{lines:?}") };
        for (url, comments) in [(detail, 3), (get, 3)] {
            let url = url.trim_end_matches('\'').strip_prefix("http://").unwrap();
            let (addr, target) = url.split_at(url.find('/').unwrap());
            let answer = http(addr, "GET", target, "");
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.body.matches("createdAt").count(), comments, "{answer:?}");
        }
        assert!(program.folder().path("books/details.db").exists());
        assert!(program.folder().path("books/comments.db").exists());
        program.signal(signal);
        assert_eq!(program.wait(), Some(0));
        program.line("stopped");
    }
}

#[test]
fn a_taken_port_is_named_and_ends_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let mut env = FREE.to_vec();
    env.push(("BOOKCOMMENTS_GRPC_ADDR", &addr));
    let (code, _, errors) = Process::run(PROGRAM, &[], &env);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains(&addr) && errors.contains("another process"), "{errors}");
}

#[test]
fn wrong_flags_and_settings_are_told() {
    let (code, _, errors) = Process::run(PROGRAM, &["--port", "1"], &[]);
    assert!(code == Some(2) && errors.contains("--port"), "{errors}");
    let (code, _, errors) = Process::run(PROGRAM, &["--data-dir", "/proc/books"], &[]);
    assert!(code == Some(1) && errors.contains("--data-dir /proc/books: "), "{errors}");
    let (code, output, _) = Process::run(PROGRAM, &["--help"], &[]);
    assert!(code == Some(0) && output.contains("--data-dir") && output.contains("5011"), "{output}");
    let (code, _, errors) = Process::run(PROGRAM, &[], &[("BOOKDETAILS_DATABASE_URL", "books")]);
    assert!(code == Some(1) && errors.contains("env BOOKDETAILS_DATABASE_URL: database.url: "), "{errors}");
}
