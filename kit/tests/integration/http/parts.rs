//! Parts of messages: field masks, raw bytes, methods without a rule.

use super::*;

struct Library;

impl Extra for Library {
    async fn update_book(&self, _cx: &Context, request: UpdateBookRequest) -> Result<UpdateBookRequest, Error> {
        Ok(request)
    }

    async fn download(&self, _cx: &Context, request: DownloadRequest) -> Result<Streaming<HttpBody>, Error> {
        Ok(Streaming::from_iter((0..request.parts).map(|n| HttpBody {
            content_type: if n == 0 { "image/png".to_owned() } else { String::new() },
            data: vec![u8::try_from(n).unwrap(), 0, 255],
            extensions: Vec::new(),
        })))
    }

    async fn upload(&self, _cx: &Context, mut parts: Streaming<HttpBody>) -> Result<Uploaded, Error> {
        let mut uploaded = Uploaded::default();
        while let Some(part) = parts.message().await? {
            if uploaded.bytes == 0 {
                uploaded.content_type = part.content_type;
            }
            uploaded.bytes += i64::try_from(part.data.len()).unwrap();
        }
        Ok(uploaded)
    }

    async fn mirror(&self, _cx: &Context, parts: Streaming<HttpBody>) -> Result<Streaming<HttpBody>, Error> {
        Ok(parts)
    }

    async fn attach(&self, _cx: &Context, request: AttachRequest) -> Result<AttachRequest, Error> {
        Ok(request)
    }

    async fn cover(&self, _cx: &Context, request: AttachRequest) -> Result<AttachRequest, Error> {
        Ok(request)
    }

    async fn hidden(&self, _cx: &Context, request: DownloadRequest) -> Result<DownloadRequest, Error> {
        Ok(request)
    }
}

async fn library() -> Running {
    Running::serve(&ExtraEndpoints::new(Library).with(&StandardStack::default())).await
}

#[tokio::test]
async fn patch_fills_the_field_mask() {
    let server = library().await;
    let patch = async |target: &str, body: &str| request(server.http, "PATCH", target, &[JSON], body.as_bytes()).await;
    let mask = |answer: &Answer| -> Vec<String> {
        let mut paths: Vec<_> = answer.json()["updateMask"].as_str().unwrap().split(',').map(str::to_owned).collect();
        paths.sort();
        paths
    };
    let answer = patch("/v1/books/7", r#"{"title":"Journey","author":{"familyName":"Wu"}}"#).await;
    assert_eq!((answer.status, &answer.json()["book"]["name"]), (200, &json!("books/7")));
    assert_eq!(mask(&answer), ["author.familyName", "title"]);
    // A default that is given counts, and so does null; both names of a field are taken.
    let answer = patch("/v1/books/7", r#"{"pages":0,"tags":null,"author":{"given_name":"Ch'eng-en"}}"#).await;
    assert_eq!(mask(&answer), ["author.givenName", "pages", "tags"]);
    // Lists and maps are replaced whole.
    let answer = patch("/v1/books/7", r#"{"tags":["a","b"],"names":{"de":"Reise"}}"#).await;
    assert_eq!(mask(&answer), ["names", "tags"]);
    // The caller's own mask stays as it is, also in the other name.
    let answer = patch("/v1/books/7?updateMask=title", r#"{"title":"x","pages":3}"#).await;
    assert_eq!(mask(&answer), ["title"]);
    let answer = patch("/v1/books/7?update_mask=title,author.given_name&allowMissing=true", r#"{"title":"x"}"#).await;
    assert_eq!(
        (mask(&answer), &answer.json()["allowMissing"]),
        (vec!["author.givenName".to_owned(), "title".to_owned()], &json!(true))
    );
    // Nothing given, nothing changed.
    let answer = patch("/v1/books/7", "{}").await;
    assert!(answer.json().get("updateMask").is_none(), "{}", answer.text());
    // The path has the name: the body's is ignored, and the mask does not have it.
    let answer = patch("/v1/books/7", r#"{"name":"books/8","title":"x"}"#).await;
    assert_eq!(answer.json()["book"]["name"], "books/7");

    // The client sends the mask that it is given.
    let book = Book {
        name: "books/9".into(),
        author: Some(Author { family_name: "Wu".into(), ..Author::default() }),
        ..Book::default()
    };
    let sent = UpdateBookRequest {
        book: Some(book),
        update_mask: Some(prost_types::FieldMask { paths: vec!["author.family_name".into()] }),
        allow_missing: true,
    };
    for url in [server.http_url(), server.grpc_url()] {
        let client = ExtraClient::new(&Channel::new(&url).unwrap());
        assert_eq!(client.update_book(&Context::background(), sent.clone()).await.unwrap(), sent, "{url}");
    }
}

#[tokio::test]
async fn raw_bytes_in_streams() {
    let server = library().await;
    // Whatever is accepted: it is the type of the first part.
    for accept in ["*/*", "image/png"] {
        let answer = accepting(&server, "/v1/download/3", accept).await;
        assert_eq!(
            (answer.status, answer.header("content-type"), answer.complete),
            (200, Some("image/png"), true),
            "{accept}"
        );
        assert_eq!(answer.body, [0, 0, 255, 1, 0, 255, 2, 0, 255]);
    }
    let empty = get(server.http, "/v1/download/0").await;
    assert_eq!((empty.status, empty.body.len()), (200, 0));

    let answer = request(server.http, "POST", "/v1/upload", &["content-type: image/png"], &[7; 100_000]).await;
    assert_eq!(answer.json(), json!({"contentType": "image/png", "bytes": "100000"}));
    let answer = request(server.http, "POST", "/v1/mirror", &["content-type: audio/ogg"], &[0, 10, 255]).await;
    assert_eq!((answer.header("content-type"), &*answer.body), (Some("audio/ogg"), &[0, 10, 255][..]));
    assert_eq!(request(server.http, "POST", "/v1/mirror", &["content-type: audio/ogg"], b"").await.status, 200);

    for url in [server.http_url(), server.grpc_url()] {
        let (client, cx) = (ExtraClient::new(&Channel::new(&url).unwrap()), Context::background());
        let mut parts = client.download(&cx, DownloadRequest { parts: 3 }).await.unwrap();
        let (mut bytes, mut content_type) = (Vec::new(), None);
        while let Some(part) = soon(parts.message()).await.unwrap() {
            content_type.get_or_insert(part.content_type);
            bytes.extend(part.data);
        }
        assert_eq!(
            (bytes, content_type.as_deref()),
            (vec![0, 0, 255, 1, 0, 255, 2, 0, 255], Some("image/png")),
            "{url}"
        );
        let part =
            |data: &[u8]| HttpBody { content_type: "image/png".into(), data: data.to_vec(), extensions: Vec::new() };
        let uploaded = client.upload(&cx, Streaming::from_iter([part(b"ab"), part(b"c")])).await.unwrap();
        assert_eq!(uploaded, Uploaded { content_type: "image/png".into(), bytes: 3 }, "{url}");
        let mut mirrored = client.mirror(&cx, Streaming::from_iter([part(b"a\nb"), part(b"c")])).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(part) = soon(mirrored.message()).await.unwrap() {
            bytes.extend(part.data);
        }
        assert_eq!(bytes, b"a\nbc", "{url}");
    }
}

#[tokio::test]
async fn raw_bytes_in_a_field() {
    let server = library().await;
    let answer = request(server.http, "POST", "/v1/attach/cover?note=n", &["content-type: image/png"], &[0, 255]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = &answer.json()["file"];
    assert_eq!((&file["contentType"], &file["data"]), (&json!("image/png"), &json!("AP8=")));
    assert_eq!((&answer.json()["name"], &answer.json()["note"]), (&json!("cover"), &json!("n")));

    let file = HttpBody { content_type: "image/png".into(), data: vec![0, 255], extensions: Vec::new() };
    let sent = AttachRequest { name: "cover".into(), file: Some(file), note: "n".into() };
    for url in [server.http_url(), server.grpc_url()] {
        let client = ExtraClient::new(&Channel::new(&url).unwrap());
        assert_eq!(client.attach(&Context::background(), sent.clone()).await.unwrap(), sent, "{url}");
        let cover = client.cover(&Context::background(), sent.clone()).await.unwrap();
        assert_eq!(cover.file, sent.file, "{url}");
    }
    let answer = request(server.http, "POST", "/v1/cover/x", &["content-type: image/png"], &[0, 255]).await;
    assert_eq!((answer.header("content-type"), &*answer.body), (Some("image/png"), &[0, 255][..]));
}

#[tokio::test]
async fn a_method_without_a_rule_is_for_grpc_alone() {
    let server = library().await;
    let hidden = async |url: String| {
        let client = ExtraClient::new(&Channel::new(&url).unwrap());
        client.hidden(&Context::background(), DownloadRequest { parts: 1 }).await
    };
    hidden(server.grpc_url()).await.unwrap();
    let error = hidden(server.http_url()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("grpc://"), "{error}");
    assert_eq!(post(server.http, "/extra.Extra/Hidden", "{}").await.status, 404);
}
