//! Just enough of HTTP/1.1 to see header lines as they were written: their order, their case, their blanks, those that come
//! twice. Servers for real use keep none of these.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::adapter::{Call, Lines, Service};

/// Takes requests whose bodies list the calls to make.
pub(crate) async fn serve(service: Arc<Service>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                // A client that went away sees for itself.
                let _ = answer(stream, &service).await;
            });
        }
    });
    format!("http://{address}/test")
}

async fn answer(stream: TcpStream, service: &Service) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    let mut lines = Lines::new();
    loop {
        line.clear();
        stream.read_until(b'\n', &mut line).await?;
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        let Some(colon) = text.iter().position(|byte| *byte == b':') else { break };
        let name = String::from_utf8_lossy(&text[..colon]).into_owned();
        lines.push((name, text[colon + 1..].to_vec()));
    }
    let length = lines.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| str::from_utf8(value).ok()?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let calls: Vec<Call> = serde_json::from_slice(&body).unwrap_or_default();
    service.deliver(lines, calls).await;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.into_inner().write_all(answer).await
}
