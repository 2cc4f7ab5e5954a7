use super::*;
use std::net::TcpStream;

const ANY: &str = "127.0.0.1:0";

fn any() -> SocketAddr {
    resolve(ANY, "--listen").unwrap()
}

#[test]
fn all_sockets_share_the_port_the_kernel_picked_and_each_gets_connections() {
    let listeners = bind(any(), 4, "--listen").unwrap();
    let address = listeners[0].local_addr().unwrap();
    assert_ne!(address.port(), 0);
    assert!(listeners.iter().all(|l| l.local_addr().unwrap() == address));

    let clients: Vec<_> = (0..256).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut accepted = 0;
    for listener in &listeners {
        let mut mine = 0;
        while listener.accept().is_ok() {
            mine += 1;
        }
        assert!(mine > 0, "a worker without connections of {}", clients.len());
        accepted += mine;
    }
    assert_eq!(accepted, clients.len());
}

#[test]
fn a_second_instance_is_refused_though_both_would_share_the_port() {
    let first = bind(any(), 2, "--listen").unwrap();
    let address = first[0].local_addr().unwrap();
    for count in [1, 2] {
        let error = bind(address, count, "--listen").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {address}: the port is in use; choose another with --listen")
        );
    }
}

#[test]
fn a_plain_server_on_the_port_is_noticed_on_any_address() {
    let foreign = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = foreign.local_addr().unwrap().port();
    let error = bind(SocketAddr::from(([127, 0, 0, 1], port)), 2, "--admin").unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    assert!(error.to_string().ends_with("choose another with --admin"));
}

#[test]
fn a_port_can_be_taken_again_at_once_after_a_stop() {
    let first = bind(any(), 2, "--listen").unwrap();
    let address = first[0].local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let server = first.iter().find_map(|l| l.accept().ok()).unwrap();
    // The side that closes first is left in TIME_WAIT: the server here.
    drop(server);
    drop(first);
    drop(client);
    assert!(bind(address, 2, "--listen").is_ok());
}

#[test]
fn addresses_that_cannot_be_are_refused_with_what_to_write() {
    for text in ["", "19000", "127.0.0.1", "127.0.0.1:99999", "no-such-host.invalid:1"] {
        let error = resolve(text, "--listen").unwrap_err().to_string();
        assert!(error.contains("write --listen HOST:PORT"), "{error}");
    }
    let elsewhere = bind("192.0.2.1:0".parse().unwrap(), 1, "--listen").unwrap_err();
    assert!(matches!(elsewhere, ListenError::NotHere { .. }), "{elsewhere}");
}

#[test]
fn only_a_lack_of_resources_slows_accepting_down() {
    assert_eq!(pause_after(&io::Error::from(io::ErrorKind::ConnectionAborted)), None);
    let too_many_files = io::Error::from_raw_os_error(24);
    assert_eq!(pause_after(&too_many_files), Some(ACCEPT_PAUSE));
}

#[test]
fn a_place_is_of_its_family() {
    let place = |text: &str, family| Place::resolve(text, family, "proxy_addr");
    let address = |text, family| place(text, family).unwrap().address.to_string();
    let both = if speaks_both() { "[::]:19000" } else { "0.0.0.0:19000" };
    for text in ["0.0.0.0:19000", ":19000"] {
        assert_eq!(address(text, Family::Both), both, "{text}");
        assert_eq!(address(text, Family::V4), "0.0.0.0:19000", "{text}");
    }
    assert_eq!(address(":19000", Family::V6), "[::]:19000");
    assert_eq!(address("10.1.2.3:1", Family::Both), "10.1.2.3:1");
    assert_eq!(address("localhost:1", Family::V4), "127.0.0.1:1");
    for (text, family) in [
        ("[::1]:1", Family::V4),
        ("127.0.0.1:1", Family::V6),
        (":x", Family::Both),
        ("", Family::V4),
    ] {
        assert!(place(text, family).is_err(), "{text} {family:?}");
    }
}

#[test]
fn a_wildcard_of_both_families_takes_both() {
    if !speaks_both() {
        return;
    }
    let port = |family| {
        let place = Place { address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), family };
        let sockets = bind_at(place, 1, "admin_addr").unwrap();
        (sockets[0].local_addr().unwrap().port(), sockets)
    };
    let (both, _sockets) = port(Family::Both);
    assert!(TcpStream::connect(("127.0.0.1", both)).is_ok());
    let (only, _sockets) = port(Family::V6);
    assert!(TcpStream::connect(("127.0.0.1", only)).is_err());
}
