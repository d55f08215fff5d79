"""Calls every method of the demo and of the streaming example with grpcio. Usage: python_client.py BINARIES WORKDIR"""

import os
import signal
import socket
import subprocess
import sys

import grpc

import chat_pb2
import chat_pb2_grpc
import comments_pb2
import comments_pb2_grpc
import details_pb2
import details_pb2_grpc

BINARIES, WORK = sys.argv[1], sys.argv[2]
TIMEOUT = 20
passed = 0


def check(what, condition):
    global passed
    if not condition:
        raise SystemExit(f"FAILED: {what}")
    passed += 1


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def channel(port):
    made = grpc.insecure_channel(f"127.0.0.1:{port}")
    grpc.channel_ready_future(made).result(timeout=TIMEOUT)
    return made


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return None


def demo():
    d_http, d_grpc, c_http, c_grpc = free_ports(4)
    env = dict(
        os.environ,
        BOOKDETAILS_HTTP_ADDR=f"127.0.0.1:{d_http}",
        BOOKDETAILS_GRPC_ADDR=f"127.0.0.1:{d_grpc}",
        BOOKDETAILS_COMMENTS_ADDRESS=f"grpc://127.0.0.1:{c_grpc}",
        BOOKCOMMENTS_HTTP_ADDR=f"127.0.0.1:{c_http}",
        BOOKCOMMENTS_GRPC_ADDR=f"127.0.0.1:{c_grpc}",
    )
    process = subprocess.Popen([f"{BINARIES}/bookinfo", "--data-dir", WORK], env=env)
    try:
        details = details_pb2_grpc.BookDetailsStub(channel(d_grpc))
        comments = comments_pb2_grpc.BookCommentsStub(channel(c_grpc))

        book = details.Detail(details_pb2.DetailReq(id=1), timeout=TIMEOUT)
        check("Detail answers 200 success", (book.code, book.msg) == (200, "success"))
        check("Detail has the book", book.data.id == 1 and book.data.name and book.data.intro)
        check("Detail has the comments", len(book.data.comments) == 3)
        missing = code_of(lambda: details.Detail(details_pb2.DetailReq(id=999), timeout=TIMEOUT))
        check("an unknown book is NOT_FOUND", missing == grpc.StatusCode.NOT_FOUND)

        got = comments.Get(comments_pb2.GetReq(id=1), timeout=TIMEOUT)
        check("Get lists three comments", got.code == 200 and len(got.data) == 3 and got.data[0].createdAt)
        wrong = code_of(lambda: comments.Post(comments_pb2.PostReq(id=1), timeout=TIMEOUT))
        check("an empty comment is INVALID_ARGUMENT", wrong == grpc.StatusCode.INVALID_ARGUMENT)

        watch = comments.Watch(comments_pb2.WatchReq(id=1), timeout=TIMEOUT)
        watch.initial_metadata()
        posted = comments.Post(comments_pb2.PostReq(id=1, content="from python"), timeout=TIMEOUT)
        check("Post answers 200 success", (posted.code, posted.msg) == (200, "success"))
        check("Watch sends what was posted", next(watch).content == "from python")
        watch.cancel()
    finally:
        process.send_signal(signal.SIGTERM)
        check("the demo stops cleanly", process.wait(TIMEOUT) == 0)


def streams():
    (port,) = free_ports(1)
    process = subprocess.Popen([f"{BINARIES}/examples/streaming", f"127.0.0.1:{port}"])
    try:
        made = channel(port)
        chat = chat_pb2_grpc.ChatStub(made)
        said, call = chat.Say.with_call(
            chat_pb2.Line(text="hello"), metadata=[("x-request-id", "from-python")], timeout=TIMEOUT
        )
        check("Say answers", said.text == "HELLO")
        check("the request id comes back", ("x-request-id", "from-python") in call.initial_metadata())
        counted = [line.text for line in chat.Count(chat_pb2.CountRequest(to=3), timeout=TIMEOUT)]
        check("Count streams", counted == ["1", "2", "3"])
        lines = [chat_pb2.Line(text="one"), chat_pb2.Line(text="two")]
        summary = chat.Dictate(iter(lines), timeout=TIMEOUT, compression=grpc.Compression.Gzip)
        check("Dictate takes a stream", (summary.lines, summary.letters) == (2, 6))
        answers = [line.text for line in chat.Talk(iter(lines), timeout=TIMEOUT)]
        check("Talk streams both ways", answers == ["you said: one", "you said: two"])
        stub = made.unary_unary("/chat.Chat/Nope")
        check("an unknown method is UNIMPLEMENTED", code_of(lambda: stub(b"")) == grpc.StatusCode.UNIMPLEMENTED)
    finally:
        process.send_signal(signal.SIGTERM)
        check("the example stops cleanly", process.wait(TIMEOUT) == 0)


demo()
streams()
print(f"{passed} passed, 0 failed")
