use super::*;
use codis::Flavour;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

fn overview() -> Overview {
    let mut stats = Stats { online: true, ..Stats::default() };
    (stats.ops.total, stats.ops.fails, stats.ops.redis.errors, stats.ops.qps) = (100, 1, 7, 12);
    (stats.sessions.total, stats.sessions.alive) = (9, 4);
    (stats.rusage.cpu, stats.rusage.mem) = (0.37, 73_400_320);
    stats.runtime = Some(Runtime { num_procs: 4, num_goroutines: 11, ..Runtime::default() });
    let model = Model {
        token: "t0ken".to_owned(),
        product_name: "codis demo".to_owned(),
        admin_addr: "10.0.0.5:11080".to_owned(),
        proxy_addr: "10.0.0.5:19000".to_owned(),
        hostname: "a,b=c".to_owned(),
        ..Model::default()
    };
    Overview {
        version: "v".to_owned(),
        compile: "c".to_owned(),
        config: Some(Config::defaults(Flavour::Upstream)),
        model: Some(model),
        stats: Some(stats),
        slots: Vec::new(),
    }
}

const FIELDS: &str = "ops_total=100i,ops_fails=1i,ops_redis_errors=7i,ops_qps=12i,sessions_total=9i,sessions_alive=4i,\
    rusage_mem=73400320i,rusage_cpu=0.37,runtime_gc_num=0i,runtime_gc_total_pausems=0i,runtime_num_procs=4i,\
    runtime_num_goroutines=11i,runtime_num_cgo_call=0i,runtime_num_mem_offheap=0i";

#[test]
fn a_point_of_influxdb_has_its_tags_in_order_and_whole_numbers_whole() {
    let want = format!(
        "codis_usage,admin_addr=10.0.0.5:11080,hostname=a\\,b\\=c,product_name=codis\\ demo,proxy_addr=10.0.0.5:19000,token=t0ken \
         {FIELDS} 1700000000000000001\n"
    );
    assert_eq!(point(&Told::of(&overview()), 1_700_000_000_000_000_001), want);
    assert_eq!(influx::path("a b&c"), "/write?db=a%20b%26c&precision=ns");
}

#[test]
fn a_tag_without_a_value_is_left_out_and_none_breaks_the_line() {
    let mut overview = overview();
    let model = overview.model.as_mut().unwrap();
    model.hostname = String::new();
    model.token = "x\ny".to_owned();
    let line = point(&Told::of(&overview), 1);
    assert!(!line.contains("hostname") && line.contains("token=x_y "), "{line}");
    assert_eq!(line.matches('\n').count(), 1);
}

#[test]
fn gauges_have_flat_addresses_and_an_empty_prefix_leaves_its_dot() {
    let packets = packets("", &Told::of(&overview()));
    let lines: Vec<&str> = packets.iter().flat_map(|packet| packet.lines()).collect();
    assert_eq!(lines[0], ".codis demo.10_0_0_5_11080.10_0_0_5_19000.ops_total:100|g");
    assert_eq!(lines[7], ".codis demo.10_0_0_5_11080.10_0_0_5_19000.rusage_cpu:0.37|g");
    assert_eq!(lines.len(), 14);
    assert!(packets.iter().all(|packet| packet.len() <= 1440), "{packets:?}");
}

#[test]
fn a_long_prefix_spreads_the_gauges_over_packets_and_a_negative_one_starts_at_zero() {
    let mut overview = overview();
    overview.stats.as_mut().unwrap().ops.qps = -5;
    let packets = packets(&"p".repeat(300), &Told::of(&overview));
    assert!(packets.len() > 2 && packets.iter().all(|packet| packet.len() <= 1440));
    let all = packets.join("\n");
    assert!(all.contains("ops_qps:0|g\n") && all.contains("ops_qps:-5|g\n"), "{all}");
}

#[test]
fn a_target_that_cannot_be_is_named() {
    let mut config = Config::defaults(Flavour::Upstream);
    config.metrics_report_influxdb_server = "https://h:1".to_owned();
    let error = Reports::new(&config, Arc::new(overview)).err().unwrap();
    assert!(error.starts_with("metrics_report_influxdb_server: "), "{error}");
}

/// Takes requests one after another, answers each with the next status, and hands on what came.
async fn receiver(
    statuses: &'static [&'static str],
) -> (String, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, received) = tokio::sync::mpsc::channel(10);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut input = Vec::new();
            while !is_whole(&input) {
                stream.read_buf(&mut input).await.unwrap();
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            sender.send(String::from_utf8(input).unwrap()).await.unwrap();
        }
    });
    (address, received)
}

fn is_whole(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() >= len.parse::<usize>().unwrap()
}

#[tokio::test]
async fn json_is_posted_again_after_a_refusal() {
    let (address, mut received) = receiver(&["500 No", "200 OK"]).await;
    let mut config = Config::defaults(Flavour::Upstream);
    config.metrics_report_server = format!("http://{address}/in?x=1");
    let reports = Reports::new(&config, Arc::new(overview)).unwrap();
    let mut states = reports.states();
    let stop = CancellationToken::new();
    let running = tokio::spawn(reports.run(stop.clone()));
    for _ in 0..2 {
        let request = timeout(SOON, received.recv()).await.unwrap().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!(told["stats"]["ops"]["total"], 100);
        assert_eq!(told["stats"]["runtime"]["num_goroutines"], 11);
        assert_eq!(told["model"]["token"], "t0ken");
        assert!(told["config"].is_object() && told.get("slots").is_none());
    }
    let (name, state) = states.first_mut().unwrap();
    let told = timeout(SOON, state.wait_for(|state| state.sent == 1)).await.unwrap().unwrap();
    assert_eq!((*name, told.failed, told.error.clone()), ("json", 1, None));
    drop(told);
    stop.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn influxdb_is_written_with_its_secret() {
    let (address, mut received) = receiver(&["204 No Content"]).await;
    let mut config = Config::defaults(Flavour::Upstream);
    config.metrics_report_influxdb_server = format!("http://{address}");
    config.metrics_report_influxdb_database = "usage".to_owned();
    config.metrics_report_influxdb_username = "Aladdin".to_owned();
    config.metrics_report_influxdb_password = "open sesame".to_owned();
    let reports = Reports::new(&config, Arc::new(overview)).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(reports.run(stop.clone()));
    let request = timeout(SOON, received.recv()).await.unwrap().unwrap();
    assert!(request.starts_with("POST /write?db=usage&precision=ns HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "{request}");
    assert!(request.contains(&format!(" {FIELDS} ")), "{request}");
    stop.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn statsd_gets_gauges() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::defaults(Flavour::Upstream);
    config.metrics_report_statsd_server = socket.local_addr().unwrap().to_string();
    config.metrics_report_statsd_prefix = "ours".to_owned();
    let reports = Reports::new(&config, Arc::new(overview)).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(reports.run(stop.clone()));
    let mut packet = vec![0; 2000];
    let len = timeout(SOON, socket.recv(&mut packet)).await.unwrap().unwrap();
    let text = String::from_utf8(packet[..len].to_vec()).unwrap();
    assert!(text.starts_with("ours.codis demo.10_0_0_5_11080.10_0_0_5_19000.ops_total:100|g\n"));
    stop.cancel();
    timeout(SOON, running).await.unwrap().unwrap();
}
