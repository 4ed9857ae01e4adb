import Cluster
import Coordinator
import HTTPTypes
import Observability
import Primitives
import Testing

@testable import API

/// What the members' programs know, and the step after which older ones cannot come back: `/api/v1/cluster/upgrade`.
struct UpgradeRoutesTests {
    private static let newest = FeatureLevels.newest

    /// c-1 leads, and the others say that they know this; nil is not connected.
    private func leader(_ second: UInt16?, _ third: UInt16?) throws -> FalseConsensus {
        let consensus = FalseConsensus(try .of("c-1", leader: "c-1"))
        var members = try [ClusterMember.of("c-1"), .of("c-2"), .of("c-3")]
        for (place, level) in [second, third].enumerated() {
            // What it said last is still known.
            members[place + 1].featureLevel = level ?? Self.newest
            members[place + 1].isConnected = level != nil
        }
        let all = members
        consensus.set { $0.members = all }
        return consensus
    }

    private func items(_ value: Value) -> [Value] { value["items"]?.list ?? [] }

    private func levels(_ consensus: FalseConsensus, at current: UInt16) -> Value {
        UpgradeLevels(consensus, current: current, version: "0.1.0").value
    }

    // MARK: What is said

    @Test func `when every voter knows more, the level is ready to be raised, and then finalized`() throws {
        let consensus = try leader(Self.newest, Self.newest)
        let before = levels(consensus, at: Self.newest - 1)
        #expect(before["state"] == "ready")
        #expect(before["featureLevel"] == Value(Int(Self.newest - 1)))
        #expect(before["target"] == Value(Int(Self.newest)))
        #expect(before["reason"]?.string == nil)
        #expect(items(before).map { $0["ready"] } == [true, true, true])
        #expect(items(before).map { $0["software"] } == ["distric 0.1.0", "distric 0.1.0", "distric 0.1.0"])
        let after = levels(consensus, at: Self.newest)
        #expect(after["state"] == "finalized")
        #expect(after["target"] == Value(Int(Self.newest)))
    }

    @Test func `who knows less, and who cannot be asked, is named`() throws {
        let value = levels(try leader(Self.newest - 1, nil), at: Self.newest - 1)
        #expect(value["state"] == "waiting")
        #expect(value["target"] == Value(Int(Self.newest)))
        #expect(value["reason"]?.string?.contains("c-2 has \(Self.newest - 1), c-3 is not connected;") == true, "\(value)")
        #expect(items(value).map { $0["id"] } == ["c-1", "c-2", "c-3"])
        #expect(items(value).map { $0["ready"] } == [true, false, false])
        #expect(items(value).map { $0["connected"] } == [true, true, false])
        #expect(items(value).last?["featureLevel"] == .null)
    }

    @Test func `this node is not asked over the network, and a voter that nobody heard of is not there`() throws {
        let consensus = try leader(Self.newest, Self.newest)
        consensus.set { $0.members = [] }
        let value = levels(consensus, at: Self.newest - 1)
        #expect(items(value).map { $0["connected"] } == [true, false, false])
        #expect(items(value).first?["software"] == "0.1.0")
        #expect(value["reason"]?.string?.contains("c-2 is not connected, c-3 is not connected;") == true, "\(value)")
    }

    @Test func `a voter that is on its way out is asked too, and a learner is shown and not waited for`() throws {
        let consensus = try leader(Self.newest, Self.newest)
        let (old, learner) = (try NodeID("c-4"), try NodeID("c-5"))
        var members = consensus.members
        for (place, name) in ["c-4", "c-5"].enumerated() {
            var member = try ClusterMember.of(name)
            member.featureLevel = Self.newest + 1 + UInt16(place)
            members.append(member)
        }
        let all = members
        consensus.set { state in
            state.members = all
            state.status.outgoing = [old]
            state.status.learners = [learner]
        }
        let value = levels(consensus, at: Self.newest)
        #expect(items(value).map { $0["role"] } == ["voter", "voter", "voter", "voter", "learner"])
        #expect(value["target"] == Value(Int(Self.newest + 1)))
        #expect(items(value).map { $0["ready"] } == [false, false, false, true, true])
        let level = Self.newest
        #expect(value["reason"]?.string?.contains("c-1 has \(level), c-2 has \(level), c-3 has \(level);") == true, "\(value)")
    }

    // MARK: What is done

    @Test func `finalizing raises the level to the newest, and again does nothing`() async throws {
        try await withDoor(try leader(Self.newest, Self.newest)) { door in
            let raised = try await door.ask(.post, "/api/v1/cluster/upgrade:finalize")
            #expect(raised.status == 200, "\(raised.text)")
            #expect(raised.value["featureLevel"] == Value(Int(Self.newest)))
            #expect(door.info.coordinator.loop.current.state.featureLevel == Self.newest)
            let events = door.info.telemetry.events.latest(100).count
            let again = try await door.ask(.post, "/api/v1/cluster/upgrade:finalize")
            #expect(again.status == 200)
            #expect(again.value["before"] == again.value["featureLevel"])
            #expect(door.info.telemetry.events.latest(100).count == events)
            #expect(try await door.ask(.get, "/api/v1/cluster/upgrade").value["state"] == "finalized")
        }
    }

    @Test func `what cannot be raised is refused with the reason that the status gives`() async throws {
        try await withDoor(try leader(Self.newest + 1, nil)) { door in
            let refused = try await door.ask(.post, "/api/v1/cluster/upgrade:finalize")
            #expect(refused.status == 409)
            #expect(refused.code == "feature_level")
            #expect(refused.detail.contains("c-1 has \(Self.newest), c-3 is not connected"), "\(refused.detail)")
            let status = try await door.ask(.get, "/api/v1/cluster/upgrade")
            #expect(status.value["reason"]?.string == refused.detail)
            #expect(door.info.coordinator.loop.current.state.featureLevel <= Self.newest)
        }
    }
}
