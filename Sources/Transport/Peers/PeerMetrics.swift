package import Observability

/// What is counted of the channels to other coordinators, by what they are for.
package struct PeerMetrics: Sendable {
    let dropped: Counter
    let opened: Counter
    let connectFailures: Counter
    let bytesIn: Counter
    let bytesOut: Counter

    /// Named before there is a channel, so that it is known what there is to be counted.
    package init(_ metrics: MetricsRegistry, link: String) {
        dropped = metrics.counter(
            "distric_raft_peer_dropped_total", "Sends to other coordinators that were dropped, since the link was down or full.",
            ["link": link])
        opened = metrics.counter("distric_raft_peer_opened_total", "Links to other coordinators that came up.", ["link": link])
        connectFailures = metrics.counter(
            "distric_raft_peer_connect_failures_total", "Connects to other coordinators that failed.", ["link": link])
        bytesIn = metrics.counter(
            "distric_raft_peer_bytes_total", "Bytes on links to other coordinators, by direction.", ["link": link, "direction": "in"])
        bytesOut = metrics.counter(
            "distric_raft_peer_bytes_total", "Bytes on links to other coordinators, by direction.", ["link": link, "direction": "out"])
    }
}
