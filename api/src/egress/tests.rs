use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that gives every connection the same bytes; its address, and how many connections came.
async fn server(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/path", listener.local_addr().unwrap().port());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && connection.read_buf(&mut head).await.unwrap() > 0 {}
                connection.write_all(answer).await.unwrap();
                // Nothing to answer with: it stays open until the other side goes.
                if answer.is_empty() {
                    let _ = connection.read_u8().await;
                }
            });
        }
    });
    (url, calls)
}

fn get(target: Target, answer_bytes_max: usize) -> Outgoing {
    let time = Duration::from_secs(20);
    Outgoing { method: Method::GET, target, headers: HeaderMap::new(), body: Bytes::new(), time, answer_bytes_max }
}

#[tokio::test]
async fn an_answer_comes_back_as_far_as_it_is_wanted() {
    let (url, _) = server(b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
    let egress = Egress::new(true);
    let whole = egress.send(get(egress.target(&url).unwrap(), 5)).await.unwrap();
    assert_eq!((whole.status, &*whole.body, whole.is_whole), (StatusCode::OK, &b"hello"[..], true));
    assert_eq!(whole.headers["x-a"], "b");
    let first = egress.send(get(egress.target(&url).unwrap(), 4)).await.unwrap();
    assert_eq!((&*first.body, first.is_whole), (&b"hell"[..], false));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (elsewhere, calls) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
    let (url, _) = server(redirect.leak().as_bytes()).await;
    let egress = Egress::new(true);
    let answer = egress.send(get(egress.target(&url).unwrap(), 100)).await.unwrap();
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

/// The name is looked up where the connection is made, so there is no time between the look and the call.
#[tokio::test]
async fn a_name_of_a_private_address_is_never_called() {
    let (url, calls) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let egress = Egress::new(false);
    let target = egress.target(&url.replace("http:", "https:")).unwrap();
    let refused = egress.send(get(target, 100)).await.unwrap_err();
    assert!(
        matches!(&refused, EgressError::Forbidden(Forbidden::Private { host }) if host == "localhost"),
        "{refused}"
    );
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn who_does_not_answer_is_left() {
    let egress = Egress::new(true);
    let (url, _) = server(b"").await;
    let mut outgoing = get(egress.target(&url).unwrap(), 100);
    outgoing.time = Duration::from_millis(50);
    assert!(matches!(egress.send(outgoing).await, Err(EgressError::TooSlow { .. })));

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone =
        egress.send(get(egress.target(&format!("http://{closed}/secret-path")).unwrap(), 100)).await.unwrap_err();
    assert!(matches!(gone, EgressError::Unreachable { .. }), "{gone}");
    assert!(!gone.to_string().contains("secret-path"), "{gone}");
}
