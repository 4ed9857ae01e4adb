import Observability
import Primitives
import SWIM

/// What gossip counts, there from the start of the node on. What the core counts is read off what it published last.
struct GossipMetrics: Sendable {
    /// Why something that came or was to go was thrown away.
    enum Drop: String, CaseIterable {
        /// Of another cluster.
        case cluster
        /// No message of gossip, or none that this program knows.
        case type
        case malformed
        /// It was sealed with another key, or not at all, or this node has none.
        case key
        /// Nobody knows where the name in its address leads, yet.
        case unresolved
        /// More calls than are made at once.
        case busy
        case tooLong = "too_long"
    }

    let received: Counter
    let sent: Counter
    let bytesReceived: Counter
    let bytesSent: Counter
    let exchangeFailures: Counter
    let roundTrips: Histogram
    private let drops: [Drop: Counter]

    init(_ metrics: MetricsRegistry, _ view: MembershipView) {
        received = metrics.counter("distric_gossip_datagrams_received_total", "Datagrams of this cluster's gossip that came in.")
        sent = metrics.counter("distric_gossip_datagrams_sent_total", "Datagrams of gossip that were sent.")
        bytesReceived = metrics.counter("distric_gossip_bytes_received_total", "Bytes of those that came in, without their seal.")
        bytesSent = metrics.counter("distric_gossip_bytes_sent_total", "Bytes of those that were sent, without their seal.")
        exchangeFailures = metrics.counter("distric_gossip_exchange_failures_total", "Exchanges of all that is known that failed.")
        roundTrips = metrics.histogram("distric_gossip_rtt_seconds", "Time from a ping to its answer.")
        drops = Dictionary(
            uniqueKeysWithValues: Drop.allCases.map {
                ($0, metrics.counter("distric_gossip_dropped_total", "What was thrown away, by reason.", ["reason": $0.rawValue]))
            })
        for liveness in Liveness.allCases {
            metrics.computed(.gauge, "distric_gossip_members", "Members that this node knows, by state.", ["state": "\(liveness)"]) {
                view.read { Double($0.count(liveness)) }
            }
        }
        metrics.computed(.gauge, "distric_gossip_local_health", "How much this node blames itself for what it does not hear; 0 is healthy.")
        { view.read { Double($0.localHealth) } }
        metrics.computed(.gauge, "distric_gossip_pending_news", "Pieces of news that are still to be told.") {
            view.read { Double($0.pendingNews) }
        }
        for (name, help, count) in Self.counts {
            metrics.computed(.counter, name, help) { view.read { Double($0.counts[keyPath: count]) } }
        }
    }

    func drop(_ reason: Drop) { drops[reason]?.increment() }

    private static var counts: [(name: String, help: String, count: any KeyPath<SWIMCounts, UInt64> & Sendable)] {
        [
            ("distric_gossip_probes_total", "Probes that this node began.", \.probes),
            ("distric_gossip_probe_failures_total", "Probes that nothing answered.", \.probesFailed),
            ("distric_gossip_indirect_acks_total", "Probes that were answered through other members alone.", \.indirectAcks),
            ("distric_gossip_stream_acks_total", "Probes that were answered over a connection alone.", \.streamAcks),
            ("distric_gossip_suspicions_total", "Members that this node itself found not to answer.", \.suspicions),
            ("distric_gossip_failure_detections_total", "Members that counted as dead here first.", \.failuresDetected),
            ("distric_gossip_refutations_total", "Things said of this node that it refuted.", \.refutations),
            ("distric_gossip_standstills_total", "Times that this node did nothing for so long that it blamed nobody.", \.standstills),
            ("distric_gossip_rumours_sent_total", "Pieces of news that were sent.", \.rumoursSent),
            ("distric_gossip_exchanges_total", "Exchanges of all that is known that this node began.", \.exchanges),
            ("distric_gossip_exchanges_answered_total", "Those of others that this node answered.", \.exchangesAnswered),
            ("distric_gossip_malformed_total", "News that nobody could have said who keeps the rules.", \.malformed),
            ("distric_gossip_misdirected_total", "Messages for another node, or under this node's own name.", \.misdirected),
            ("distric_gossip_members_refused_total", "New members for which there was no room.", \.membersRefused),
            ("distric_gossip_members_evicted_total", "Dead members that were forgotten early to make room.", \.membersEvicted),
            ("distric_gossip_tombstones_dropped_total", "Memories of forgotten members that had to go early.", \.tombstonesDropped),
            ("distric_gossip_relays_refused_total", "Pings for others that were not made: too many were under way.", \.relaysRefused),
        ]
    }
}
