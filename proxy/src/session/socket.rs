//! How a client's socket is set, before anything is read from it.

use crate::config::Config;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Replies leave at once. In codis-proxy's place its file says what else: signs of life of an idle connection, and how long a client may take
/// nothing of what it is sent.
///
/// An error would mean that the client is gone already, which the next read says better.
pub(super) fn prepare(stream: &TcpStream, config: &Config) {
    let _ = stream.set_nodelay(true);
    let Some(codis) = &config.codis else { return };
    let socket = SockRef::from(stream);
    if let Some(period) = codis.session_keepalive_period.limit() {
        let keep_alive = TcpKeepalive::new().with_time(period).with_interval(period);
        let _ = socket.set_tcp_keepalive(&keep_alive);
    }
    // The kernel gives the connection up (tcp(7), TCP_USER_TIMEOUT).
    let _ = socket.set_tcp_user_timeout(codis.session_send_timeout.limit());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    async fn prepared(codis: Option<&str>) -> TcpStream {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let codis = codis.map(|file| Arc::new(codis::config::Config::load(file).unwrap().config));
        prepare(&stream, &Config { codis, ..Config::default() });
        stream
    }

    #[tokio::test]
    async fn codis_proxys_file_says_how_long_a_client_may_be_silent_or_deaf() {
        let stream =
            prepared(Some("session_send_timeout = 7\nsession_keepalive_period = 60")).await;
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(7)));
        for codis in [None, Some("session_send_timeout = 0\nsession_keepalive_period = 0")] {
            let stream = prepared(codis).await;
            let socket = SockRef::from(&stream);
            assert!(!socket.keepalive().unwrap() && stream.nodelay().unwrap());
            assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        }
    }
}
