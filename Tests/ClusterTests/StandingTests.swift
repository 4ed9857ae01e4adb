import Foundation
import Observability
import Primitives
import Raft
import Storage
import Testing
import Transport
import Wire

@testable import Cluster

/// What the others hold against a node, and it cannot find out by itself: that it was removed, or that it is a copy (Gathering.swift).
@Suite(.serialized, .timeLimit(.minutes(3)))
struct StandingTests {
    private func standing(_ member: RaftMember) -> HealthRegistry.Component? {
        member.telemetry.health.all.first { $0.name == "standing" }
    }

    /// While they run as nodes do.
    private func gathering(_ members: [RaftMember], _ body: (inout ThrowingTaskGroup<Void, any Error>) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for member in members {
                group.addTask { [gathering = member.gathering, driver = member.driver] in await gathering.run(driver) }
            }
            try await body(&group)
            group.cancelAll()
        }
    }

    @Test func `who was down when it was removed hears of it when it starts, and what to do`() async throws {
        try await withRaft { stage in
            try await stage.commit([[1]])
            let voters = stage.members.map(\.id).sorted()
            let (leader, _) = try await stage.leader()
            let gone = stage.others(than: leader)[0]
            let number = try #require(voters.firstIndex(of: gone.id)) + 1
            await stage.stop(gone)
            let left = voters.filter { $0 != gone.id }
            _ = try await leader.driver.change(voters: left, learners: [], basedOn: nil)
            let isOut = await eventually {
                stage.members.allSatisfy {
                    $0.status.voters == left && $0.status.outgoing.isEmpty && $0.status.commitIndex >= $0.status.configurationIndex
                }
            }
            #expect(isOut)
            let index = leader.status.configurationIndex
            let back = try await stage.add(number, voters: voters)
            stage.introduce()
            try await gathering(stage.members) { group in
                let isTold = await eventually { standing(back)?.status == .down }
                #expect(isTold, "\(back.status) \(back.directory.all)")
                let reason = standing(back)?.reason ?? ""
                #expect(reason.contains("'\(gone.id)' was removed from the cluster at index \(index)"), "\(reason)")
                #expect(reason.contains("distric raft add \(gone.id)") && reason.contains("--join"))
                #expect(back.status.removedAt == index)
                #expect(back.telemetry.events.latest(100).filter { $0.kind == "cluster.removed" }.count == 1)
                #expect(stage.members.allSatisfy { $0 === back || $0.status.removedAt == nil })
                #expect(standing(leader) == nil)
                // Taken in again, it is as if nothing had been.
                _ = try await stage.withLeader { leader, status in
                    try? await leader.driver.change(voters: voters, learners: [], basedOn: status.configurationIndex)
                }
                let isBack = await eventually { standing(back)?.status == .up && back.status.removedAt == nil }
                #expect(isBack, "\(back.status)")
            }
        }
    }

    @Test func `a copy beside the living node is refused and says so, and nobody follows it`() async throws {
        try await withRaft { stage in
            let index = try await stage.commit([[1], [2]])
            #expect(await stage.haveCommitted(index))
            let (leader, status) = try await stage.leader()
            let original = stage.others(than: leader)[0]
            let voters = stage.members.map(\.id).sorted()
            let number = try #require(voters.firstIndex(of: original.id)) + 1
            let path = original.folder + ".copy"
            try FileManager.default.copyItem(atPath: original.folder, toPath: path)
            try await gathering(stage.members) { group in
                let areConnected = await eventually {
                    stage.others(than: original).allSatisfy { $0.directory.facts(original.id)?.isConnected == true }
                }
                #expect(areConnected)
                let copy = try await RaftMember(
                    original.id, in: path, voters: voters, epoch: 99, folderID: folder(UInt64(number)), settings: RaftStage.settings)
                for other in stage.others(than: original) { copy.directory.heard(other.own.current) }
                group.addTask { [gathering = copy.gathering, driver = copy.driver] in await gathering.run(driver) }
                let isTold = await eventually { standing(copy)?.status == .down }
                #expect(isTold)
                let reason = standing(copy)?.reason ?? ""
                for member in [original, copy] { #expect(reason.contains(member.own.current.address ?? "?"), "\(reason)") }
                // The one that is there goes on.
                for other in stage.others(than: original) {
                    #expect(other.directory.facts(original.id)?.address.description == original.own.current.address)
                }
                let last = try await stage.commit([[3]])
                let goesOn = await eventually { original.status.commitIndex >= last }
                #expect(goesOn)
                #expect(leader.status.term == status.term && leader.status.isLeader)
                await copy.close()
            }
        }
    }
}
