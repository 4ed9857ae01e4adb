import HTTPTypes
import Observability
import Primitives
import Synchronization
import Testing
import Transport

@testable import API

/// What is broken on purpose over `/api/v1/chaos` (ChaosRoutes.swift, ChaosReading.swift, ChaosControl.swift).
struct ChaosRoutesTests {
    /// A disk that only keeps what it is told.
    private final class ToldDisk: DisturbedDisk {
        struct State {
            var stall: Duration?
            var every: Duration?
            var isFailing = false
            var stalls = 0
            var failures = 0
            var stalling = 0
        }

        let state = Mutex(State())

        private func put(_ stall: Duration?, _ every: Duration?, _ isFailing: Bool) {
            state.withLock { state in (state.stall, state.every, state.isFailing) = (stall, every, isFailing) }
        }

        func stall(_ length: Duration, every: Duration) { put(length, every, false) }
        func stallOnce(_ length: Duration) { put(length, nil, false) }
        func failSyncs() { put(nil, nil, true) }
        func heal() { put(nil, nil, false) }
        var stallLength: Duration? { state.withLock { $0.stall } }
        var stallEvery: Duration? { state.withLock { $0.every } }
        var isFailing: Bool { state.withLock { $0.isFailing } }
        var stallCount: Int { state.withLock { $0.stalls } }
        var failureCount: Int { state.withLock { $0.failures } }
        var stallingCount: Int { state.withLock { $0.stalling } }
    }

    private let telemetry: Telemetry
    private let links = LinkFaults(seed: 1)
    private let disk = ToldDisk()
    private let control: ChaosControl
    private let stage: RouteStage

    init() throws {
        let telemetry = Telemetry.quiet(node: try NodeID("c-1"))
        self.telemetry = telemetry
        let control = ChaosControl(links: links, disk: disk, telemetry: telemetry)
        self.control = control
        let peers = try ["c-1", "c-2", "c-3"].map { try NodeID($0) }
        stage = RouteStage { ChaosRoutes(node: telemetry.node, control: control, peers: { peers }).add(to: $0) }
    }

    private func faults(_ name: String) throws -> LinkFault? {
        let node = try NodeID(name)
        return links.all.first { $0.node == node }?.fault
    }

    private var events: [Observability.Event] { telemetry.events.latest(100) }

    /// As a scrape reads it.
    private var gauge: Double? {
        for series in telemetry.metrics.snapshot.first(where: { $0.name == "distric_chaos_faults" })?.series ?? [] {
            if case .computed(.gauge, let read) = series.instrument { return read() }
        }
        return nil
    }

    // MARK: Permission

    private static let routes: [(HTTPRequest.Method, String)] = [
        (.get, "chaos"), (.post, "chaos/links"), (.delete, "chaos/links"), (.post, "chaos/disk"), (.delete, "chaos/disk"),
    ]

    @Test func `a node that was not started for it refuses all, and says how to start it`() async throws {
        let node = telemetry.node
        let closed = RouteStage { ChaosRoutes(node: node, control: nil, peers: { [] }).add(to: $0) }
        for (method, path) in Self.routes {
            let answer = try await closed.ask(method, path, #"{"fail": true}"#)
            #expect(answer.status == 403, "\(method) \(path)")
            #expect(answer.value["code"] == "chaos_not_allowed", "\(method) \(path)")
            #expect(answer.detail.contains("distric node --allow-chaos"), "\(method) \(path)")
        }
    }

    // MARK: Links

    @Test func `nothing is broken at first`() async throws {
        let answer = try await stage.ask(.get, "chaos")
        let expected: Value = [
            "node": "c-1", "faults": 0, "links": [], "lost": 0, "disk": ["stalls": 0, "stalling": 0, "failures": 0],
        ]
        #expect(answer.status == 200)
        #expect(answer.value == expected)
        #expect(gauge == 0)
    }

    @Test func `links are cut, slowed and made to lose, each one way`() async throws {
        let body = #"{"links": [{"to": "c-3", "delay": "50ms", "loss": 0.2}, {"to": "c-2", "cut": true}]}"#
        let answer = try await stage.ask(.post, "chaos/links", body)
        #expect(answer.status == 200)
        let expected: Value = [
            ["to": "c-2", "cut": true, "delay": "0s", "loss": 0], ["to": "c-3", "cut": false, "delay": "50ms", "loss": 0.2],
        ]
        #expect(answer.value["links"] == expected)
        #expect(answer.value["faults"] == 2)
        #expect(gauge == 2)
        let (second, third) = (try faults("c-2"), try faults("c-3"))
        #expect(second == LinkFault(isCut: true))
        #expect(third == LinkFault(delay: .milliseconds(50), loss: 0.2))
        #expect(events.map(\.kind) == ["chaos.changed", "chaos.changed"])
        #expect(events.map(\.subject) == ["c-3", "c-2"])
        #expect(events.map(\.text) == ["the link to c-3 takes 50ms more and loses 20 %", "the link to c-2 is cut"])
        #expect(events.allSatisfy { $0.severity == .warning })
    }

    @Test func `what the links lost is told, also when they are whole again`() async throws {
        _ = try await stage.ask(.post, "chaos/links", #"{"links": [{"to": "c-2", "cut": true}]}"#)
        let node = try NodeID("c-2")
        for _ in 0..<3 { _ = links.fate(to: node) }
        let lost = try await stage.ask(.get, "chaos").value["lost"]
        #expect(lost == 3)
        let healed = try await stage.ask(.delete, "chaos/links")
        #expect(healed.value["lost"] == 3)
        #expect(healed.value["links"] == [])
    }

    @Test func `a fault takes the place of the one before it, and one of nothing heals`() async throws {
        _ = try await stage.ask(.post, "chaos/links", #"{"links": [{"to": "c-2", "cut": true}]}"#)
        _ = try await stage.ask(.post, "chaos/links", #"{"links": [{"to": "c-2", "loss": 1}]}"#)
        let replaced = try faults("c-2")
        #expect(replaced == LinkFault(loss: 1))
        let healed = try await stage.ask(.post, "chaos/links", #"{"links": [{"to": "c-2", "cut": false, "loss": 0, "delay": "0s"}]}"#)
        #expect(healed.value["faults"] == 0)
        #expect(events.last?.text == "the link to c-2 is whole again")
        #expect(events.last?.severity == .info)
        let count = events.count
        _ = try await stage.ask(.post, "chaos/links", #"{"links": [{"to": "c-2", "cut": false}]}"#)
        #expect(events.count == count)
    }

    @Test func `one link is healed, or all`() async throws {
        let body = #"{"links": [{"to": "c-2", "cut": true}, {"to": "c-3", "cut": true}]}"#
        _ = try await stage.ask(.post, "chaos/links", body)
        let one = try await stage.ask(.delete, "chaos/links?to=c-2")
        #expect(one.value["faults"] == 1)
        let gone = try faults("c-2")
        #expect(gone == nil)
        let again = try await stage.ask(.delete, "chaos/links?to=c-2")
        #expect(again.status == 404)
        #expect(again.detail == "the link to c-2 has no fault; links to c-3 have")
        _ = try await stage.ask(.post, "chaos/links", body)
        let all = try await stage.ask(.delete, "chaos/links")
        #expect(all.value["faults"] == 0)
        let none = try await stage.ask(.delete, "chaos/links")
        #expect(none.status == 200)
        let wrong = try await stage.ask(.delete, "chaos/links?to=C%202")
        #expect(wrong.status == 400)
        let nobody = try await stage.ask(.delete, "chaos/links?to=c-3")
        #expect(nobody.detail == "the link to c-3 has no fault; no link has one")
    }

    private static let wrongLinks: [(body: String, pointer: String?, says: String)] = [
        ("", nil, "byte"), ("{", nil, "byte"), ("[]", "", "expected {"), ("{}", "/links", "expected a list of links"),
        (#"{"links": []}"#, "/links", "expected a list of links"), (#"{"links": {}}"#, "/links", "expected a list of links"),
        (#"{"link": []}"#, "/link", "did you mean 'links'?"), (#"{"links": [7]}"#, "/links/0", "expected {"),
        (#"{"links": [{"cut": true}]}"#, "/links/0/to", "to is the id of the node"),
        (#"{"links": [{"to": 7, "cut": true}]}"#, "/links/0/to", "to is the id of the node"),
        (#"{"links": [{"to": "C 2", "cut": true}]}"#, "/links/0/to", "1 to 63 bytes"),
        (#"{"links": [{"to": "c-1", "cut": true}]}"#, "/links/0/to", "this node itself; a link leads to another: c-2, c-3"),
        (#"{"links": [{"to": "c-22", "cut": true}]}"#, "/links/0/to", "no node 'c-22' is known here; did you mean 'c-2'?"),
        (#"{"links": [{"to": "worker", "cut": true}]}"#, "/links/0/to", "no node 'worker' is known here; there are c-2, c-3"),
        (#"{"links": [{"to": "c-2"}]}"#, "/links/0", "give cut, delay or loss; DELETE /api/v1/chaos/links?to=c-2 heals it"),
        (#"{"links": [{"to": "c-2", "dealy": "1s"}]}"#, "/links/0/dealy", "did you mean 'delay'?"),
        (#"{"links": [{"to": "c-2", "x": 1}]}"#, "/links/0/x", "there are to, cut, delay, loss"),
        (#"{"links": [{"to": "c-2", "cut": 1}]}"#, "/links/0/cut", "cut is true or false"),
        (#"{"links": [{"to": "c-2", "delay": 50}]}"#, "/links/0/delay", "a duration in quotes such as \"50ms\", from 0s to 10m"),
        (#"{"links": [{"to": "c-2", "delay": "-1s"}]}"#, "/links/0/delay", "from 0s to 10m"),
        (#"{"links": [{"to": "c-2", "delay": "11m"}]}"#, "/links/0/delay", "from 0s to 10m"),
        (#"{"links": [{"to": "c-2", "loss": 20}]}"#, "/links/0/loss", "0.2 loses every fifth"),
        (#"{"links": [{"to": "c-2", "loss": -0.1}]}"#, "/links/0/loss", "from 0 to 1"),
        (#"{"links": [{"to": "c-2", "loss": "0.1"}]}"#, "/links/0/loss", "from 0 to 1"),
        (#"{"links": [{"to": "c-2", "cut": true}, {"to": "c-2", "loss": 1}]}"#, "/links/1/to", "there twice"),
        (#"{"links": [{"to": "c-3", "cut": true}, {"to": "c-2", "loss": 2}]}"#, "/links/1/loss", "from 0 to 1"),
        (#"{"links": ["# + Array(repeating: "{}", count: 257).joined(separator: ",") + "]}", "/links", "at most 256 links"),
    ]

    @Test func `what is no fault of a link is refused with its place, and nothing is done`() async throws {
        for (body, pointer, says) in Self.wrongLinks {
            let answer = try await stage.ask(.post, "chaos/links", body)
            #expect(answer.status == 400, "\(body)")
            #expect(answer.pointer == pointer, "\(body)")
            #expect(answer.detail.contains(says), "\(body): \(answer.detail)")
        }
        #expect(links.all.isEmpty)
        #expect(events.isEmpty)
    }

    @Test func `while nobody is known every name may be broken`() async throws {
        let (node, control) = (telemetry.node, control)
        let early = RouteStage { ChaosRoutes(node: node, control: control, peers: { [node] }).add(to: $0) }
        let answer = try await early.ask(.post, "chaos/links", #"{"links": [{"to": "c-9", "cut": true}]}"#)
        #expect(answer.status == 200)
        let own = try await early.ask(.post, "chaos/links", #"{"links": [{"to": "c-1", "cut": true}]}"#)
        #expect(own.detail == "c-1 is this node itself; a link leads to another")
    }

    @Test func `a body of more than 64 KiB is refused`() async throws {
        let answer = try await stage.ask(.post, "chaos/links", String(repeating: " ", count: 70_000))
        #expect(answer.status == 413)
    }

    // MARK: Disk

    @Test func `the disk stalls every so often, once, or fails`() async throws {
        let often = try await stage.ask(.post, "chaos/disk", #"{"stall": "250ms", "every": "5s"}"#)
        #expect(often.value["disk"] == ["stall": "250ms", "every": "5s", "stalls": 0, "stalling": 0, "failures": 0])
        #expect(often.value["faults"] == 1)
        #expect(gauge == 1)
        let once = try await stage.ask(.post, "chaos/disk", #"{"stall": "3s", "once": true}"#)
        #expect(once.value["disk"] == ["stall": "3s", "once": true, "stalls": 0, "stalling": 0, "failures": 0])
        let always = try await stage.ask(.post, "chaos/disk", #"{"stall": "1ms", "every": "0s", "once": false}"#)
        #expect(always.value.at("disk", "every") == "0s")
        let failing = try await stage.ask(.post, "chaos/disk", #"{"fail": true}"#)
        #expect(failing.value["disk"] == ["fail": true, "stalls": 0, "stalling": 0, "failures": 0])
        #expect(
            events.map(\.text) == [
                "one sync every 5s of the log's disk stalls for 250ms", "the next sync of the log's disk stalls for 3s",
                "every sync of the log's disk stalls for 1ms", "every sync of the log's disk fails, which stops the log for good",
            ])
        #expect(events.allSatisfy { $0.subject == "disk" && $0.severity == .warning })
    }

    @Test func `a disk is healed, and one that failed wants a restart`() async throws {
        let nothing = try await stage.ask(.delete, "chaos/disk")
        #expect(nothing.status == 200)
        #expect(events.isEmpty)
        _ = try await stage.ask(.post, "chaos/disk", #"{"stall": "250ms", "every": "5s"}"#)
        disk.state.withLock { $0.stalls = 4 }
        let healed = try await stage.ask(.delete, "chaos/disk")
        #expect(healed.value["disk"] == ["stalls": 4, "stalling": 0, "failures": 0])
        #expect(events.last?.text == "the log's disk is whole again")
        _ = try await stage.ask(.post, "chaos/disk", #"{"fail": true}"#)
        disk.state.withLock { $0.failures = 1 }
        let failed = try await stage.ask(.delete, "chaos/disk")
        #expect(failed.value["faults"] == 0)
        #expect(failed.value.at("disk", "note") == "a sync of it failed, which is final: restart the node")
        #expect(events.last?.text.hasSuffix("restart the node") == true)
    }

    @Test func `a stall that is under way is healed though no other follows`() async throws {
        disk.state.withLock { $0.stalling = 1 }
        _ = try await stage.ask(.delete, "chaos/disk")
        #expect(events.map(\.text) == ["the log's disk is whole again"])
    }

    @Test func `a node that stops holds up no sync`() {
        disk.stall(.seconds(60), every: .zero)
        control.end()
        #expect(disk.stallLength == nil)
    }

    private static let wrongDisks: [(body: String, pointer: String?, says: String)] = [
        ("", nil, "byte"), ("7", "", "expected {"), ("{}", "", "expected {"), (#"{"every": "5s"}"#, "", "expected {"),
        (#"{"stall": "1s"}"#, "", "once, or every so often"),
        (#"{"stall": "1s", "once": true, "every": "5s"}"#, "/once", "once, or every so often"),
        (#"{"stall": "1s", "once": false}"#, "", "once, or every so often"),
        (#"{"stall": "0s", "once": true}"#, "/stall", "takes some time"),
        (#"{"stall": 3, "once": true}"#, "/stall", "a duration in quotes"), (#"{"stall": "601s", "once": true}"#, "/stall", "to 10m"),
        (#"{"stall": "1s", "every": "-5s"}"#, "/every", "to 10m"), (#"{"stall": "1s", "once": "yes"}"#, "/once", "true or false"),
        (#"{"fail": false}"#, "/fail", "DELETE /api/v1/chaos/disk"), (#"{"fail": 1}"#, "/fail", "true or false"),
        (#"{"fail": true, "stall": "1s"}"#, "/fail", "does not stall"), (#"{"stal": "1s"}"#, "/stal", "did you mean 'stall'?"),
        (#"{"pause": "1s"}"#, "/pause", "there are stall, every, once, fail"),
    ]

    @Test func `what is no fault of a disk is refused with its place, and nothing is done`() async throws {
        for (body, pointer, says) in Self.wrongDisks {
            let answer = try await stage.ask(.post, "chaos/disk", body)
            #expect(answer.status == 400, "\(body)")
            #expect(answer.pointer == pointer, "\(body)")
            #expect(answer.detail.contains(says), "\(body): \(answer.detail)")
        }
        #expect(disk.stallLength == nil && !disk.isFailing)
        #expect(events.isEmpty)
    }

    // MARK: Table

    @Test func `the table of routes has them all`() {
        for (method, path) in Self.routes {
            let methods = RouteTable.routes.first { $0.path == "/api/v1/" + path }?.methods ?? []
            #expect(methods.contains(method.rawValue), "\(method) \(path)")
        }
    }
}
